// Marks rows with the keys 1, 2, 3 and plays them. Everything that is marked is kept by the server at once.
"use strict";
const TONES = ["negative", "neutral", "positive"];
const ROW_SECONDS = 5;
const marks = new Map(Object.entries(JSON.parse(document.getElementById("marks").textContent)));
const cells = [...document.querySelectorAll("td[data-channel]")];
const audio = document.getElementById("audio");
const state = document.getElementById("state");
let current = 0;
let until = 0;

const place = (cell) => `${cell.dataset.channel}:${cell.dataset.begin}`;
const cellAt = (channel, begin) =>
  cells.findIndex((cell) => Number(cell.dataset.channel) === channel && Number(cell.dataset.begin) === begin);

function show() {
  cells.forEach((cell, number) => {
    cell.classList.toggle("current", number === current);
    cell.dataset.mark = marks.get(place(cell)) ?? "";
  });
  const counts = TONES.map((tone) => `${[...marks.values()].filter((it) => it === tone).length} ${tone}`);
  state.textContent = counts.join(", ");
}

function go(number) {
  if (number < 0 || number >= cells.length) return;
  current = number;
  cells[current].scrollIntoView({ block: "nearest" });
  show();
}

async function mark(tone) {
  const cell = cells[current];
  const body = { channel: Number(cell.dataset.channel), begin: Number(cell.dataset.begin), tone };
  try {
    const answer = await fetch("marks", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
    if (!answer.ok) throw new Error(await answer.text());
  } catch (error) {
    state.textContent = `Not kept: ${error.message}. Is carillon label still running?`;
    return;
  }
  if (tone === null) marks.delete(place(cell));
  else marks.set(place(cell), tone);
  show();
}

function play() {
  if (!audio.paused) return audio.pause();
  const begin = Number(cells[current].dataset.begin);
  audio.currentTime = begin;
  until = begin + ROW_SECONDS;
  audio.play();
}

audio.addEventListener("timeupdate", () => {
  if (until && audio.currentTime >= until) {
    audio.pause();
    until = 0;
  }
});

document.addEventListener("keydown", async (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const cell = cells[current];
  const channel = Number(cell.dataset.channel);
  const begin = Number(cell.dataset.begin);
  const next = cellAt(channel, begin + ROW_SECONDS);
  const actions = {
    1: () => mark("negative").then(() => go(next)),
    2: () => mark("neutral").then(() => go(next)),
    3: () => mark("positive").then(() => go(next)),
    0: () => mark(null),
    Backspace: () => mark(null),
    ArrowDown: () => go(next),
    ArrowUp: () => go(cellAt(channel, begin - ROW_SECONDS)),
    ArrowLeft: () => go(cellAt(0, begin)),
    ArrowRight: () => go(cellAt(1, begin)),
    " ": play,
    h: () => document.body.classList.toggle("blind"),
  };
  const action = actions[event.key];
  if (!action) return;
  event.preventDefault();
  await action();
});

cells.forEach((cell, number) => cell.addEventListener("click", () => go(number)));
document.querySelectorAll("button[data-tone]").forEach((button) =>
  button.addEventListener("click", () => mark(button.dataset.tone || null)),
);
document.getElementById("play").addEventListener("click", play);
document.body.classList.add("blind");
show();
