// What a page can do beyond what it does without a script. Nothing here is needed to use the site.

const all = (selector, root = document) => root.querySelectorAll(selector);
const language = document.documentElement.lang;
const won = (amount) => language === "ko" ? `${amount.toLocaleString("ko-KR")}원` : `₩${amount.toLocaleString("en-US")}`;

// A form is sent once, however often its button is pressed; and not into the void, where what was typed would be lost.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!navigator.onLine) return event.preventDefault();
  if (!form.hasAttribute("data-once")) return;
  if (form.dataset.sent) return event.preventDefault();
  form.dataset.sent = "1";
  for (const button of all("button", form)) button.setAttribute("aria-disabled", "true");
});
window.addEventListener("pageshow", () => {
  for (const form of all("form[data-sent]")) {
    delete form.dataset.sent;
    for (const button of all("button", form)) button.removeAttribute("aria-disabled");
  }
  // What was chosen may have been put back by the browser.
  for (const field of all("[data-times]")) sum(field);
});

// A card number in groups of four.
document.addEventListener("input", (event) => {
  const field = event.target;
  if (field.matches("[data-card]") && field.selectionStart === field.value.length) {
    field.value = field.value.replace(/[^0-9]/g, "").slice(0, 19).replace(/(.{4})(?=.)/g, "$1 ");
  }
});

function sum(field) {
  const line = field.form?.querySelector("[data-total]");
  if (!line) return;
  const people = Number.parseInt(field.value, 10);
  line.hidden = !(people >= 1 && people <= 20);
  line.querySelector("[data-total-value]").textContent = line.hidden ? "" : won(people * Number(field.dataset.times));
}
for (const field of all("[data-times]")) sum(field);

for (const button of all("[data-print]")) {
  button.hidden = false;
  button.addEventListener("click", () => window.print());
}
document.addEventListener("change", ({ target }) => {
  if (target.matches("[data-times]")) sum(target);
  if (!target.dataset.every) return;
  for (const other of all(`input[name="${target.dataset.every}"]`)) other.checked = target.checked;
});
document.querySelector("[data-focus]")?.focus();

const offline = document.querySelector("[data-offline]");
const connected = () => { offline.hidden = navigator.onLine; };
window.addEventListener("online", connected);
window.addEventListener("offline", connected);
connected();

// Puts the present state of a part of the page in its place, unless somebody is writing in it.
async function redraw(part) {
  const writing = part.contains(document.activeElement) && document.activeElement.matches("input, select, textarea");
  const ticked = all("input:checked", part).length > 0;
  part.dataset.late = writing || ticked ? "1" : "";
  if (part.dataset.late) return true;
  const answer = await fetch(part.dataset.from, { headers: { accept: "text/html" } });
  if (!answer.ok) return false;
  const fresh = document.createElement("template");
  fresh.innerHTML = await answer.text();
  if (fresh.innerHTML === part.innerHTML) return true;
  const before = part.querySelector("[data-word]")?.textContent;
  const focused = part.contains(document.activeElement) ? document.activeElement.getAttribute("href") : undefined;
  part.replaceChildren(fresh.content);
  // Whoever is here by the keyboard stays where they were, or at the beginning of the content if that is gone.
  if (focused !== undefined) {
    const again = focused && part.querySelector(`a[href="${CSS.escape(focused)}"]`);
    (again || document.querySelector("main")).focus({ preventScroll: true });
  }
  const now = part.querySelector("[data-word]")?.textContent;
  if (before && now && before !== now) {
    part.classList.remove("pulse");
    requestAnimationFrame(() => part.classList.add("pulse"));
    const say = document.querySelector("[data-say]");
    if (say) say.textContent = `${now} ${part.querySelector(".status p")?.textContent ?? ""}`;
  }
  return true;
}

// What was held back while somebody wrote comes when they are done.
document.addEventListener("focusout", (event) => {
  const part = event.target.closest?.("[data-live]");
  if (part?.dataset.late) setTimeout(() => redraw(part).catch(() => {}), 200);
});

// The status of an order moves as it changes.
function follow(part) {
  let pause = 1000;
  const open = () => {
    const events = new EventSource(part.dataset.live);
    events.addEventListener("status", () => { pause = 1000; redraw(part).catch(() => {}); });
    events.addEventListener("error", () => {
      if (events.readyState !== EventSource.CLOSED) return;
      // The token may have ended: asking for the page's part brings a new one.
      setTimeout(() => redraw(part).catch(() => {}).finally(open), pause);
      pause = Math.min(pause * 2, 30000);
    });
    window.addEventListener("pagehide", () => events.close(), { once: true });
  };
  open();
}
for (const part of all("[data-live]")) follow(part);

// What has no events of its own is asked for again while somebody looks.
for (const part of all("[data-poll]")) {
  setInterval(() => { if (!document.hidden) redraw(part).catch(() => {}); }, 1500);
}
