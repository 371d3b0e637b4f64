"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const data = JSON.parse(byId("data").textContent);
  const tabs = ["html", "text", "headers"];
  const state = { card: null, tab: "html" };
  const buttons = [];

  const make = (tag, text, className) => {
    const element = document.createElement(tag);
    if (text !== undefined) element.textContent = text;
    if (className) element.className = className;
    return element;
  };
  const chosen = (name) => document.querySelector(`input[name="${name}"]:checked`).value;
  const both = (value, first, second) => (value === "both" ? [first, second] : [value]);

  // What a mail program in this colour scheme would apply, whatever the scheme of this computer is.
  const inScheme = (html, scheme) =>
    html.replace(/\(\s*prefers-color-scheme\s*:\s*(dark|light)\s*\)/gi, (_, asked) =>
      asked.toLowerCase() === scheme ? "(min-width:0px)" : "(max-width:0px)");
  const withImages = (html) =>
    html.replace(/cid:([A-Za-z0-9._-]+)/g, (whole, id) => (Object.hasOwn(data.images, id) ? data.images[id] : whole));

  // A message is laid out in the whole width of its screen, and shown smaller where this window has less.
  const pixels = { phone: 375, desktop: 780 };
  const fit = (screen) => {
    const frame = screen.firstElementChild;
    const scale = Math.min(1, screen.clientWidth / Number(frame.width));
    frame.style.transform = scale < 1 ? `scale(${scale})` : "";
    frame.height = Math.round(screen.clientHeight / scale);
  };
  const resized = new ResizeObserver((entries) => entries.forEach((entry) => fit(entry.target)));

  function frameOf(card, width, scheme) {
    const figure = make("figure", undefined, `${width} ${scheme}`);
    const name = `${width === "phone" ? "Phone" : "Desktop"}, ${pixels[width]} pixels, ${scheme}`;
    figure.append(make("figcaption", name));
    const frame = document.createElement("iframe");
    frame.title = `${card.subject}: ${name}`;
    frame.setAttribute("sandbox", "");
    frame.setAttribute("referrerpolicy", "no-referrer");
    frame.style.colorScheme = scheme;
    frame.width = pixels[width];
    // Links of a message lead nowhere here: they would open a window, which the sandbox does not allow.
    frame.srcdoc = `<!doctype html><base target="_blank"><meta name="color-scheme" content="${scheme}">`
      // A phone's scroll bar lies over the page; one that takes width would make a message of 375 pixels scroll sideways.
      + (width === "phone" ? "<style>html { scrollbar-width: none }</style>" : "")
      + inScheme(withImages(card.html), scheme);
    const screen = make("div", undefined, "screen");
    screen.append(frame);
    figure.append(screen);
    resized.observe(screen);
    return figure;
  }

  function showFrames() {
    const card = state.card;
    const frames = byId("frames");
    if (card.html === null) {
      frames.replaceChildren(make("p", "This message has no HTML part.", "empty"));
      return;
    }
    resized.disconnect();
    const made = [];
    for (const scheme of both(chosen("scheme"), "light", "dark"))
      for (const width of both(chosen("width"), "phone", "desktop")) made.push(frameOf(card, width, scheme));
    frames.replaceChildren(...made);
  }

  function showTab(name, focus) {
    state.tab = name;
    for (const tab of tabs) {
      const button = byId(`tab-${tab}`);
      button.setAttribute("aria-selected", String(tab === name));
      button.tabIndex = tab === name ? 0 : -1;
      byId(`panel-${tab}`).hidden = tab !== name;
    }
    byId("views").hidden = name !== "html";
    if (focus) byId(`tab-${name}`).focus();
  }

  function showSummary() {
    buttons.forEach((button) => button.setAttribute("aria-current", "false"));
    byId("summary-button").setAttribute("aria-current", "true");
    byId("summary").hidden = false;
    byId("shown").hidden = byId("nothing").hidden = true;
    state.card = null;
  }

  function show(index) {
    const card = (state.card = data.cards[index]);
    byId("summary").hidden = true;
    byId("summary-button").setAttribute("aria-current", "false");
    buttons.forEach((button, at) => button.setAttribute("aria-current", String(at === index)));
    byId("subject").textContent = card.subject;
    byId("address").textContent = `to ${card.address}`;
    const size = `HTML ${(card.htmlBytes / 1024).toLocaleString("en", { maximumFractionDigits: 1 })} KB`;
    const facts = [`row ${card.row}`, card.language ? `language ${card.language}` : "default language"];
    byId("chips").replaceChildren(
      ...card.reasons.map((reason) => make("li", reason, "why")),
      ...[...facts, card.html === null ? "no HTML" : size].map((fact) => make("li", fact)));
    byId("text").textContent = card.text === null ? "This message has no text part." : card.text;
    byId("headers").replaceChildren(...card.headers.map(([name, value]) => {
      const row = document.createElement("tr");
      const head = make("th", name);
      head.scope = "row";
      row.append(head, make("td", value));
      return row;
    }));
    byId("shown").hidden = false;
    showFrames();
  }

  function search() {
    const words = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0, first = -1, shown = false;
    data.cards.forEach((card, index) => {
      const fits = words.every((word) => card.words.includes(word));
      buttons[index].parentElement.hidden = !fits;
      if (!fits) return;
      count += 1;
      if (first < 0) first = index;
      shown ||= card === state.card;
    });
    byId("found").textContent = words.length
      ? `${count} of ${data.cards.length} messages`
      : `${count} ${count === 1 ? "message" : "messages"}`;
    if (!byId("summary").hidden && !words.length) return;
    byId("nothing").hidden = count > 0;
    byId("shown").hidden = count === 0;
    byId("summary").hidden = true;
    if (count && !shown) show(first);
  }

  data.cards.forEach((card, index) => {
    card.words = [card.address, card.subject, card.snippet, card.text || "", card.language || "", ...card.reasons].join("\n").toLowerCase();
    const button = make("button");
    button.type = "button";
    const inbox = make("span", undefined, "inbox");
    inbox.dir = "auto";
    inbox.append(make("b", card.subject), ` ${card.snippet}`);
    button.append(
      make("strong", card.sender), inbox, make("span", `to ${card.address}`), make("span", card.reasons.join(" · ")));
    button.addEventListener("click", () => show(index));
    buttons.push(button);
    const item = document.createElement("li");
    item.append(button);
    byId("list").append(item);
  });
  byId("list").addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const visible = buttons.filter((button) => !button.parentElement.hidden);
    const at = visible.indexOf(document.activeElement);
    if (!step || at < 0) return;
    event.preventDefault();
    const next = visible[Math.min(Math.max(at + step, 0), visible.length - 1)];
    next.focus();
    show(buttons.indexOf(next));
  });
  tabs.forEach((name, index) => {
    const button = byId(`tab-${name}`);
    button.addEventListener("click", () => showTab(name));
    button.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      event.preventDefault();
      showTab(tabs[(index + step + tabs.length) % tabs.length], true);
    });
  });
  document.querySelectorAll("input[type=radio]").forEach((input) => input.addEventListener("change", showFrames));
  byId("search").addEventListener("input", search);
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.target.matches("input")) return;
    event.preventDefault();
    byId("search").focus();
  });
  byId("summary-button").addEventListener("click", showSummary);
  if (byId("summary").hidden) show(0);
  else showSummary();
})();
