// Loads the parts of a page that take longer. Without it, a button of the page or a reload shows them.
"use strict";
(() => {
  async function replace(id, request) {
    const answer = await fetch(request.url, request.options);
    if (!answer.ok) return false;
    const found = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById(id);
    const old = document.getElementById(id);
    if (!found || !old) return false;
    const focused = old.contains(document.activeElement);
    old.replaceWith(found);
    if (focused) document.getElementById("main").focus();
    return true;
  }

  for (const form of document.querySelectorAll("form[data-part]")) {
    const options = { method: "POST", body: new URLSearchParams(new FormData(form)), credentials: "same-origin" };
    const button = form.querySelector("button");
    const status = form.querySelector("[role=status]");
    if (status) status.textContent = "Reading the events…";
    button.disabled = true;
    replace(form.dataset.part, { url: form.getAttribute("action"), options })
      .catch(() => false)
      .then((isDone) => {
        if (isDone) return;
        button.disabled = false;
        if (status) status.textContent = "The events could not be loaded. Press the button to try again.";
      });
  }

  const wait = () => document.querySelector("[data-reload]");
  function reload(attempt) {
    const part = wait();
    if (!part || attempt > 60) return;
    setTimeout(() => {
      replace(part.dataset.reload, { url: location.href, options: { credentials: "same-origin" } })
        .catch(() => false)
        .then(() => reload(attempt + 1));
    }, 2000);
  }
  reload(0);
})();
