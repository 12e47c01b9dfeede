"use strict";
// Before anything is drawn: the theme that was chosen here; none: what the system prefers.
{
  const chosen = localStorage.getItem("theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
}
