"""Pages whose questions a busy HMI refuses for a while, and what a redraw leaves alone."""

import re
import time

import pytest

pytestmark = pytest.mark.asyncio(loop_scope="session")

AFTER_S = 2
TWICE = 2


class Refusals:
    """Refuses the first questions to addresses as a busy HMI does; when what was asked."""

    def __init__(self) -> None:
        self.asked: list[float] = []

    async def of(self, viewer, pattern: str) -> None:
        await viewer.page.route(re.compile(pattern), self._answer)

    async def _answer(self, route) -> None:
        self.asked.append(time.monotonic())
        if len(self.asked) > TWICE:
            await route.continue_()
            return
        await route.fulfill(
            status=503,
            headers={"Retry-After": str(AFTER_S)},
            json={"error": "too many questions at once: try again"},
        )

    def spaced(self) -> bool:
        """Whether each was asked no sooner than the refusal before it said."""
        pairs = zip(self.asked, self.asked[1 : TWICE + 1], strict=False)
        return all(later - before >= 0.95 * AFTER_S for before, later in pairs)


@pytest.mark.parametrize(
    ("page", "question", "content", "words"),
    [
        ("/model", r"/api/units/R101/model$", "#model .card-text h3", "polymer-cstr"),
        ("/history", r"/api/units/R101/history\?", "#state", r"\d+ points|Nothing is recorded"),
        ("/history", r"/api/units/R101$", "#state", r"\d+ points|Nothing is recorded"),
    ],
)
async def test_what_was_refused_is_asked_again_when_the_server_says(
    view, page, question, content, words
):
    viewer = await view("/", forgiving=True)
    refusals = Refusals()
    await refusals.of(viewer, question)
    await viewer.go(f"/units/R101{page}")
    await viewer.says("main", "too many questions at once")
    await viewer.says(content, words)
    assert len(refusals.asked) == TWICE + 1
    assert refusals.spaced()


async def test_the_trend_that_was_refused_is_asked_again(view):
    viewer = await view("/", forgiving=True)
    refusals = Refusals()
    await refusals.of(viewer, r"/api/units/R101/trend\?")
    async with viewer.page.expect_response(
        lambda response: "/trend?" in response.url and response.ok
    ):
        await viewer.go("/units/R101")
    assert len(refusals.asked) == TWICE + 1
    assert refusals.spaced()


async def test_a_dropped_question_has_no_answer_and_is_not_repeated(view):
    """Nor one that waits to be repeated; asked anew, it is answered."""
    viewer = await view("/")
    told = await viewer.page.evaluate(
        """async () => {
          const {Question} = await import("/static/js/question.js");
          const pause = (ms) => new Promise((done) => setTimeout(done, ms));
          const [put, answers] = [[], []];
          const question = new Question({
            put: async () => {
              put.push(put.length);
              const mine = put.length;
              await pause(50);
              return mine;
            },
            answered: (answer) => answers.push(answer),
          });
          question.ask();
          await pause(20);
          question.ask();
          question.drop();
          await pause(150);
          const dropped = [put.length, answers.length];
          question.ask();
          await pause(150);
          return {dropped, answers};
        }"""
    )
    assert told == {"dropped": [1, 0], "answers": [2]}


async def test_one_question_at_a_time_and_the_last_one_counts(view):
    """Asked twice while the first is on its way: once more, and only that answer is shown."""
    viewer = await view("/")
    told = await viewer.page.evaluate(
        """async () => {
          const {Question} = await import("/static/js/question.js");
          let [wanted, now, most] = ["a", 0, 0];
          const put = [];
          return new Promise((resolve) => {
            const question = new Question({
              put: async () => {
                const mine = wanted;
                put.push(mine);
                most = Math.max(most, ++now);
                await new Promise((done) => setTimeout(done, 50));
                now -= 1;
                return mine;
              },
              answered: (answer) => resolve({put, most, answer}),
            });
            question.ask();
            setTimeout(() => {
              for (wanted of ["b", "c"]) question.ask();
              question.repeat();
            }, 20);
          });
        }"""
    )
    assert told == {"put": ["a", "c"], "most": 1, "answer": "c"}


async def test_what_is_not_there_is_not_asked_for_again(view):
    viewer = await view("/")
    told = await viewer.page.evaluate(
        """async () => {
          const {ApiError} = await import("/static/js/api.js");
          const {Question} = await import("/static/js/question.js");
          const told = [];
          const question = new Question({
            put: async () => { throw new ApiError(404, "there is no such unit"); },
            answered: () => {},
            refused: (error, pause) => told.push([error.status, pause]),
          });
          question.ask();
          await new Promise((done) => setTimeout(done, 50));
          question.repeat();
          await new Promise((done) => setTimeout(done, 1500));
          return told;
        }"""
    )
    assert told == [[404, None]]


@pytest.mark.parametrize(
    ("connected", "stale", "pv", "sp"),
    [(True, False, 1.0, 2.0), (True, True, None, None), (False, False, 1.0, None)],
)
async def test_the_trend_has_no_setpoint_that_is_not_of_now(view, connected, stale, pv, sp):
    viewer = await view("/")
    found = await viewer.page.evaluate(
        """async ({connected, stale}) => {
          const {instant} = await import("/static/js/buffer.js");
          const cvs = [{tag: "T", pv: 1.0, sp: 2.0, stale}];
          return instant({connected, cvs, mvs: [], mode_stale: true});
        }""",
        {"connected": connected, "stale": stale},
    )
    assert found == {"pv/T": pv, "sp/T": sp}


async def test_runs_that_are_drawn_again_keep_the_focus(view):
    viewer = await view("/units/R101/runs", forgiving=True)
    link = viewer.page.locator("#runs td a").last
    await link.focus()
    href = await link.get_attribute("href")
    rows = {"run": None}

    async def changed(route) -> None:  # as a run goes on
        answer = await (await route.fetch()).json()
        rows["run"] = (rows["run"] or 0) + 1
        for run in answer["runs"]:
            run["reason"] = f"drawn {rows['run']}"
        await route.fulfill(json=answer)

    await viewer.page.route(re.compile(r"/api/units/R101/runs$"), changed)
    await viewer.says("#runs", "drawn 1")
    focused = "document.activeElement.getAttribute('href')"
    assert await viewer.page.evaluate(focused) == href
    await viewer.page.unroute(re.compile(r"/api/units/R101/runs$"))
