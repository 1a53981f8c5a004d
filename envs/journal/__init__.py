"""The journal: a SQLite file that many processes append decisions and outcomes to, durable when they return."""
