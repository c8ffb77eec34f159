// Comfort for those who have scripts: the page is complete without.
"use strict";

// Times as the reader's clocks show them. The exact time in UTC stays in the title.
const form = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit" });
for (const one of document.querySelectorAll("time.zoned")) {
  const at = new Date(one.dateTime);
  if (!Number.isNaN(at.getTime())) one.textContent = form.format(at);
}
const zone = document.getElementById("zone");
if (zone) zone.textContent = Intl.DateTimeFormat().resolvedOptions().timeZone || zone.textContent;

// "/" goes to the search, j and k to the next and the previous row.
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select, audio")) return;
  if (event.key === "/") {
    const search = document.getElementById("q");
    if (search) {
      event.preventDefault();
      search.focus();
      search.select();
    }
  } else if (event.key === "j" || event.key === "k") {
    const links = [...document.querySelectorAll("tbody .name[href], main .rows a")];
    const at = links.indexOf(document.activeElement);
    const next = links[event.key === "j" ? at + 1 : Math.max(0, at - 1)];
    if (next) next.focus();
  }
});
