// The two steps of every change: the server says in words what would happen; a person confirms it.
import { ApiError, path, post } from "./api.js";
import { announce, el, setText } from "./dom.js";
import { refreshSession, sessionIsOver } from "./shell.js";

/**
 * Ask for `action` of a unit and, once confirmed, do it.
 * fields: inputs that belong to the question (a comment); read() gives what they add to the action.
 * Resolves to true when it was done.
 */
export function confirmAction(unit, action, { title, fields = null, read = () => ({}) }) {
  return new Promise((resolve) => {
    const dialog = new Question(unit, action, title, fields, read, resolve);
    dialog.open();
  });
}

class Question {
  constructor(unit, action, title, fields, read, resolve) {
    Object.assign(this, { unit, action, fields, read, resolve });
    this.done = false;
    this.timer = 0;
    this.words = el("p", { class: "question", id: "question-text" });
    this.problem = el("p", { class: "problem", role: "alert" });
    this.countdown = el("p", { class: "why" });
    this.go = el("button", { type: "submit", class: "strong" }, "Continue");
    this.cancel = el("button", { type: "button", onclick: () => this.dialog.close() }, "Cancel");
    this.form = el("form", { onsubmit: (event) => this.submit(event) });
    this.form.append(
      this.words,
      ...(fields ? [fields] : []),
      this.problem,
      this.countdown,
      el("div", { class: "buttons" }, this.cancel, this.go),
    );
    this.dialog = el(
      "dialog",
      { "aria-labelledby": "question-title", "aria-describedby": "question-text" },
      el("h2", { id: "question-title" }, title),
      this.form,
    );
    this.dialog.addEventListener("close", () => this.closed());
  }

  open() {
    document.body.append(this.dialog);
    this.dialog.showModal();
    if (this.fields === null) this.ask();
  }

  submit(event) {
    event.preventDefault();
    if (this.token) this.confirm();
    else this.ask();
  }

  /** First step: what would happen, in the server's words. */
  async ask() {
    await this.busy(async () => {
      const question = await post(path("api", "units", this.unit, "actions"), { ...this.action, ...this.read() });
      this.token = question.token;
      setText(this.words, question.text);
      if (this.fields) this.fields.disabled = true;
      setText(this.go, "Confirm");
      this.count(question.expires_s ?? 30);
    });
    this.cancel.focus(); // Enter by habit must not confirm
  }

  /** Second step: do it. */
  async confirm() {
    await this.busy(async () => {
      const answer = await post(path("api", "actions", this.token));
      this.done = true;
      announce(answer.text ?? "done");
      showDone(answer.text ?? "done");
      this.dialog.close();
      refreshSession();
    });
  }

  async busy(work) {
    setText(this.problem, "");
    this.go.disabled = true;
    try {
      await work();
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.refused(error);
    } finally {
      this.go.disabled = this.token === null;
    }
  }

  refused(error) {
    clearInterval(this.timer);
    setText(this.countdown, "");
    setText(this.problem, error.message);
    this.token = null; // a question is asked once: begin anew
    this.go.hidden = true;
    setText(this.cancel, "Close");
    this.cancel.focus();
    if (error.status === 401) sessionIsOver();
  }

  count(seconds) {
    const ends = Date.now() + 1000 * seconds;
    const show = () => {
      const left = Math.ceil((ends - Date.now()) / 1000);
      if (left > 0) setText(this.countdown, `This question ends in ${left} s.`);
      else this.refused(new ApiError(410, "The question has ended without an answer; nothing was changed."));
    };
    show();
    this.timer = setInterval(show, 500);
  }

  closed() {
    clearInterval(this.timer);
    this.dialog.remove();
    this.resolve(this.done);
  }
}

/** What was done, for some seconds, at the edge of the page. */
function showDone(text) {
  const note = el("p", { class: "done" }, text);
  document.body.append(note);
  setTimeout(() => note.remove(), 6000);
}
