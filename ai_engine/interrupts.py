"""What a long function raises when the user stops it: everything finished is kept, and this goes on from there."""

from __future__ import annotations

from envs.errors import RetrainerError


class Interrupted(RetrainerError):  # noqa: N818 - it is the user's wish, not an error
    """The user stopped the work; what was finished is kept.

    Args:
        problem: what was stopped and what is kept.
        resume_command: the shell command that goes on from here, or an empty string.
        where: the run or the agent.
        remedy: what to do instead, where there is no command.
    """

    exit_code = 130

    def __init__(
        self, problem: str = "interrupted", *, resume_command: str = "", where: str = "", remedy: str = ""
    ) -> None:
        self.resume_command = resume_command
        super().__init__(
            problem, where=where, remedy=remedy or (f"go on with `{resume_command}`" if resume_command else "")
        )
