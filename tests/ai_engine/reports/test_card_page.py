"""The page of the data card: complete, self-contained, safe, and drawn from the log it speaks of."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ai_engine.reports.card_page import render_card, write_card
from envs.build import dataset_from_records
from envs.card import build_card
from envs.card.portrait import PERIODS, portray
from envs.dataset import Dataset
from tests.ai_engine.reports.pages import Page
from tests.envs import faulty_logs
from tests.envs.clean_logs import Kind, sound
from tests.envs.samples import KEY, built, numbered, record, specification


def page_of(dataset: Dataset) -> tuple[str, Page]:
    report = sound(Kind(), 0)[1]
    html = render_card(build_card(dataset, report), report, portray(dataset))
    return html, Page(html)


def test_the_page_says_what_the_card_says_and_loads_nothing() -> None:
    dataset = faulty_logs.with_new_traffic(sound(Kind(episodes=800, horizon=2), 3)[0])
    card = build_card(dataset, sound(Kind(), 0)[1])
    html, page = page_of(dataset)
    for finding in card.findings:
        for text in (finding.sentence, finding.consequence, finding.remedy):
            assert text[1:] in page.text
    assert any({"letter", card.grade.lower()} <= classes for classes in page.classes("p"))
    loading = {"src", "href", "action", "data"}
    linked = [value for _, attributes in page.elements for name, value in attributes.items() if name in loading]
    assert all(value.startswith(("#", "data:")) for value in linked)
    assert "<script" not in html and "prefers-color-scheme: dark" in html
    for drawing in ("courses", "actions", "propensities", "returns"):
        for layout in ("wide", "narrow"):
            assert f'id="{drawing}-{layout}-title"' in html


@pytest.mark.parametrize("explore", [0.0, 0.2])
def test_a_grade_c_says_what_exploration_leads_to_a_and_another_grade_does_not(explore: float) -> None:
    dataset, report = built(episodes=400, explore=explore)
    card = build_card(dataset, report)
    text = Page(render_card(card, report, portray(dataset))).text
    assert ("leads to grade A" in text) == (explore == 0.0)
    if explore == 0.0:
        for part in ("of the decisions are then others than the rule's", "decisions are needed", "days at the present"):
            assert part in text and part in card.exploration_advice


def test_hostile_texts_stay_texts() -> None:
    dataset = sound(Kind(), 0)[0]
    hostile = ("<script>alert(1)</script>", "b & c", '"d"')
    declared = replace(dataset.specification, actions=hostile)
    html, page = page_of(replace(dataset, specification=declared))
    assert "<script" not in html and hostile[0] in page.text


def test_an_empty_log_has_a_page(tmp_path: Path) -> None:
    dataset, report = dataset_from_records(specification(), numbered([record("open", 0)]), KEY)
    write_card(build_card(dataset, report), report, portray(dataset), tmp_path / "reports" / "card.html")
    page = Page((tmp_path / "reports" / "card.html").read_text())
    assert "0 independent units" in page.text and "1 episode (1 decision) has not ended yet" in page.text


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_rewards_as_large_as_numbers_get_have_a_card_and_a_page_of_grade_d() -> None:
    dataset, report = built(episodes=100)
    for larger in (np.where(dataset.rewards > 0.5, 1.7e308, -1.7e308), np.full(len(dataset), 1.7e308)):
        boundless = replace(dataset, rewards=larger)
        card = build_card(boundless, report)
        assert card.grade == "D" and "grade D" in card.to_text() and "mean_return" not in card.to_json()["figures"]
        assert "squares are no numbers" in Page(render_card(card, report, portray(boundless))).text


def test_the_portrait_is_the_log() -> None:
    dataset = faulty_logs.with_new_traffic(sound(Kind(episodes=960, horizon=2), 1)[0], share=0.5, size=5.0)
    portrait = portray(dataset)
    noise = next(course for course in portrait.courses if course.name == "noise")
    middles = np.array(noise.middle, dtype=np.float64)
    assert (middles[: PERIODS // 2] < 1.0).all() and (middles[PERIODS // 2 :] > 4.0).all()
    own = dataset.rewards[:80]  # 960 episodes of 2 decisions in 24 periods
    reward = portrait.courses[0]
    assert (reward.low[0], reward.middle[0], reward.high[0]) == tuple(np.quantile(own, [0.25, 0.5, 0.75]))
    for (_, shares), part in zip(portrait.chosen, np.split(dataset.actions, 3), strict=True):
        np.testing.assert_allclose(shares, np.bincount(part, minlength=3) / len(part))
    assert sum(share for _, share in portrait.propensities) == pytest.approx(1.0)
    assert sum(share for *_, share in portrait.returns) == pytest.approx(1.0)
    assert portrait.grades[-1] == (2, build_card(dataset, sound(Kind(), 0)[1]).grade)


def test_when_outcomes_mature_is_a_date() -> None:
    dataset, report = sound(Kind(episodes=60), 0)
    odd = replace(report, immature_episodes=2, matures=1_795_838_282.9)
    text = Page(render_card(build_card(dataset, odd), odd, portray(dataset))).text
    assert "matures 2026-11-28T03:58:02Z" in " ".join(text.split()) and "1,795,838" not in text
