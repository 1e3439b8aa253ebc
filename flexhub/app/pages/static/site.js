// The page's script: asks REST with the reader's token and shows the answers. No framework, nothing from elsewhere.

import { draw } from "./chart.js";

const $ = (id) => document.getElementById(id);
const zone = document.body.dataset.zone;
const dead = ["initial", "rejected", "canceled", "expired", "invalid"];
const view = { offers: [], parties: [], sort: { offers: ["from", 1], parties: ["party", 1] }, seen: "" };

// -- the reader's token: of the address's fragment (kept for this tab), or the demo's guest --------------------------

const fragment = new URLSearchParams(location.hash.slice(1)).get("token");
if (fragment) {
  sessionStorage.setItem("token", fragment);
  history.replaceState(null, "", location.pathname);
}
const token = () => sessionStorage.getItem("token") ?? document.body.dataset.guest ?? null;

class Refused extends Error {
  constructor(status, detail) { super(detail); this.status = status; }
}

async function ask(path) {
  const answer = await fetch(path, { headers: { Authorization: `Bearer ${token()}` }, cache: "no-store" });
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Refused(answer.status, body.detail ?? answer.statusText);
  return body;
}

async function all(path) {
  const items = [];
  let cursor = null;
  do {
    const page = await ask(path + (path.includes("?") ? "&" : "?") + "limit=1000" + (cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""));
    items.push(...page.items);
    cursor = page.next ?? null;
  } while (cursor);
  return items;
}

const unless = (refused, fallback) => (error) => {
  if (error instanceof Refused && error.status === refused) return fallback;
  throw error;
};

// -- local days and times --------------------------------------------------------------------------------------------

const parts = new Intl.DateTimeFormat("en-CA", {
  timeZone: zone, year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", hourCycle: "h23",
});
const local = (instant) => {
  const p = Object.fromEntries(parts.formatToParts(new Date(instant)).map((x) => [x.type, x.value]));
  return `${p.year}-${p.month}-${p.day} ${p.hour}:${p.minute}`;
};
const midnight = (day) => {
  // The instant at which the local day begins: UTC midnight less the zone's offset there.
  const utc = Date.parse(`${day}T00:00Z`);
  let guess = utc;
  for (let i = 0; i < 2; i += 1) guess += utc - Date.parse(`${local(guess).replace(" ", "T")}Z`);
  return guess;
};
const shifted = (day, days) => new Date(Date.parse(`${day}T00:00Z`) + days * 86400000).toISOString().slice(0, 10);
const clock = (text) => (text ? local(text).slice(11) : "");

// -- figures ---------------------------------------------------------------------------------------------------------

const sum = (values) => values.reduce((a, b) => a + b, 0);
const fixed = (value, digits = 1) => value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
const energies = (schedule) => (schedule ? schedule.slices.map((s) => s.energy_kwh) : []);
const highest = (series) => Math.max(0, ...series.values_kwh.map((v) => ((v ?? 0) * 3600) / (series.resolution_s ?? 900)));

function moved(offer) {
  const planned = energies(offer.schedule);
  const usual = energies(offer.default_schedule);
  if (!planned.length || planned.length !== usual.length) return null;
  return sum(planned.map((e, i) => Math.abs(e - usual[i]))) / 2;
}

function ends(offer) {
  const slots = sum((offer.profiles?.[0]?.slices ?? []).map((s) => s.max_duration ?? 1));
  return new Date(Date.parse(offer.start_before ?? offer.created) + slots * (offer.resolution_s ?? 900) * 1000).toISOString();
}

function limitsOf(requests) {
  const points = requests.flatMap((r) => r.intervals.filter((i) => i.hi_kwh !== undefined && r.reference === "absolute").map((i) => {
    const seconds = r.resolution_s ?? 900;
    return { at: Date.parse(r.start) + i.slot * seconds * 1000, kw: (i.hi_kwh * 3600) / seconds, asked: i.disposition !== "available" };
  }));
  const lowest = new Map(); // of several requests about a time the lowest limit counts; it is asked for if any of them asks
  for (const p of points) {
    const known = lowest.get(p.at);
    lowest.set(p.at, known ? { at: p.at, kw: Math.min(p.kw, known.kw), asked: p.asked || known.asked } : p);
  }
  return [...lowest.values()].sort((a, b) => a.at - b.at);
}

function rowsOf(offers, bills) {
  const paid = new Map();
  for (const line of bills.flatMap((b) => b.lines)) {
    if (line.offer) paid.set(line.offer, (paid.get(line.offer) ?? 0) + Number(line.amount));
  }
  return offers.map((o) => ({
    id: o.id, station: o.issuer, state: o.state ?? "initial", from: o.start_after ?? o.created, to: ends(o),
    energy: sum(energies(o.schedule ?? o.default_schedule)), moved: moved(o), paid: paid.has(o.id) ? paid.get(o.id) : null,
  }));
}

function partiesOf(rows, bills) {
  const parties = new Map();
  const of = (name) => {
    if (!parties.has(name)) parties.set(name, { party: name, offers: 0, energy: 0, factual: 0, predicted: 0, refused: 0 });
    return parties.get(name);
  };
  for (const row of rows) {
    const party = of(row.station);
    party.offers += 1;
    if (!dead.includes(row.state)) party.energy += row.energy;
  }
  for (const bill of bills) {
    const party = of(bill.party);
    const refused = new Set();
    for (const line of bill.lines) {
      if ((line.verdict ?? "paid") === "paid") party[line.basis] += Number(line.amount);
      else if (line.offer) refused.add(line.offer);
    }
    party.refused += refused.size;
  }
  return [...parties.values()];
}

// -- tables ----------------------------------------------------------------------------------------------------------

function cell(text, kind) {
  const td = document.createElement("td");
  if (kind) td.className = kind;
  td.textContent = text;
  return td;
}

function offerRow(row) {
  const tr = document.createElement("tr");
  const badge = document.createElement("span");
  badge.className = `badge ${row.state}`;
  badge.textContent = row.state;
  const state = cell("");
  state.append(badge);
  const id = cell(row.id, "id minor");
  id.title = row.id;
  const number = (value, digits, kind = "number") => cell(value === null ? "–" : fixed(value, digits), kind);
  const day = $("day").value;
  const until = local(row.to);
  tr.append(cell(row.station), state, cell(clock(row.from)),
    cell(until.slice(11) + (until.slice(0, 10) > day ? " +1" : ""), "minor"),
    number(row.energy, 2), number(row.moved, 2, "number minor"), number(row.paid, 2), id);
  return tr;
}

function partyRow(row) {
  const tr = document.createElement("tr");
  tr.append(cell(row.party), cell(String(row.offers), "number"), cell(fixed(row.energy, 1), "number"),
    cell(fixed(row.factual, 2), "number"), cell(fixed(row.predicted, 2), "number minor"), cell(String(row.refused), "number minor"));
  return tr;
}

function sorted(rows, [key, sign]) {
  const order = new Intl.Collator("en", { numeric: true });
  return [...rows].sort((a, b) => {
    const [x, y] = [a[key], b[key]];
    if (x === null || y === null) return (x === null) - (y === null);
    return sign * (typeof x === "number" ? x - y : order.compare(x, y)) || order.compare(a.id ?? a.party, b.id ?? b.party);
  });
}

function list() {
  const wanted = $("search").value.trim().toLowerCase();
  const state = $("state").value;
  const rows = view.offers.filter((r) => (!state || r.state === state) && (!wanted || `${r.id} ${r.station}`.toLowerCase().includes(wanted)));
  $("offers").tBodies[0].replaceChildren(...sorted(rows, view.sort.offers).map(offerRow));
  $("shown").textContent = rows.length === view.offers.length ? `${rows.length} offers` : `${rows.length} of ${view.offers.length} offers`;
  $("parties").tBodies[0].replaceChildren(...sorted(view.parties, view.sort.parties).map((r) => partyRow(r)));
  const total = { party: "All" };
  for (const key of ["offers", "energy", "factual", "predicted", "refused"]) total[key] = sum(view.parties.map((p) => p[key]));
  $("parties").tFoot.replaceChildren(partyRow(total));
}

for (const name of ["offers", "parties"]) {
  $(name).tHead.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    const [key, sign] = view.sort[name];
    view.sort[name] = [button.dataset.key, key === button.dataset.key ? -sign : 1];
    for (const th of $(name).tHead.querySelectorAll("th")) th.setAttribute("aria-sort", "none");
    button.closest("th").setAttribute("aria-sort", view.sort[name][1] > 0 ? "ascending" : "descending");
    list();
  });
}

function states(offers) {
  const counts = new Map();
  for (const o of offers) counts.set(o.state, (counts.get(o.state) ?? 0) + 1);
  const chosen = $("state").value;
  const options = [...counts].sort().map(([state, n]) => new Option(`${state} (${n})`, state, false, state === chosen));
  $("state").replaceChildren(new Option("All states", ""), ...options);
  return [...counts].sort((a, b) => b[1] - a[1]).slice(0, 2).map(([state, n]) => `${n} ${state}`).join(", ");
}

// -- the whole -------------------------------------------------------------------------------------------------------

async function load() {
  const day = $("day").value;
  const [from, next] = [midnight(day), midnight(shifted(day, 1))];
  const stamp = (ms) => new Date(ms).toISOString().replace(".000Z", "Z");
  const period = `${stamp(from)}/${stamp(next)}`;
  const series = async (kind) => (await ask(`/timeseries/${kind}/${period}`)).items[0];
  const [baseline, schedule, measurement, offers, bills, requests] = await Promise.all([
    series("baseline"), series("schedule"), series("measurement"), all(`/flexoffer/${period}`),
    ask(`/bill?from=${stamp(from)}&to=${stamp(next)}`), all("/flexrequest").catch(unless(403, [])),
  ]);
  view.offers = rowsOf(offers, bills.items);
  view.parties = partiesOf(view.offers, bills.items);
  const [before, after] = [highest(baseline), highest(measurement)];
  $("peak-after").textContent = after ? `${fixed(after)} kW` : "–";
  $("peak-before").textContent = before ? `instead of ${fixed(before)} kW${after ? ` (${fixed((100 * (after - before)) / before, 0).replace("-", "−")} %)` : ""}` : "";
  $("count").textContent = String(offers.length);
  $("states").textContent = states(view.offers);
  $("energy").textContent = `${fixed(sum(measurement.values_kwh.map((v) => v ?? 0)), 0)} kWh`;
  $("asked").textContent = `${fixed(sum(schedule.values_kwh.map((v) => v ?? 0)), 0)} kWh scheduled`;
  $("paid").textContent = `${fixed(Number(bills.factual_eur), 2)} EUR`;
  $("predicted").textContent = Number(bills.predicted_eur) ? `and ${fixed(Number(bills.predicted_eur), 2)} EUR predicted` : "all amounts from readings";
  list();
  $("content").hidden = false;
  const limits = limitsOf(requests).filter((p) => p.at >= from && p.at < next);
  await draw($("chart"), { series: { baseline, schedule, measurement }, limits, local, day: [local(from), local(next)] });
  document.body.dataset.ready = "true";
}

function tell(error) {
  const unknown = error instanceof Refused && error.status === 401;
  if (unknown) sessionStorage.removeItem("token");
  $("problem").textContent = unknown ? "This token is not known here." : `The hub does not answer as it should: ${error.message}`;
  $("problem").hidden = false;
  if (unknown && !token()) enter();
}

function enter() {
  $("content").hidden = true;
  $("enter").hidden = false;
  $("token").focus();
}

let busy = false;
async function refresh(force = false) {
  if (busy || !token() || document.hidden) return;
  busy = true;
  try {
    const health = await (await fetch("/health", { cache: "no-store" })).json();
    $("clock").textContent = `· ${local(health.now)}`;
    if (!$("day").value) $("day").value = document.body.dataset.day ?? local(health.now).slice(0, 10);
    if (force || health.now !== view.seen) await load();
    view.seen = health.now;
    $("problem").hidden = true;
  } catch (error) {
    tell(error);
  } finally {
    busy = false;
  }
}

$("enter").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem("token", $("token").value.trim());
  $("enter").hidden = true;
  $("leave").hidden = false;
  refresh(true);
});
$("leave").addEventListener("click", () => { sessionStorage.removeItem("token"); location.reload(); });
$("search").addEventListener("input", list);
$("state").addEventListener("change", list);
$("day").addEventListener("change", () => $("day").value && refresh(true));
for (const [id, days] of [["before", -1], ["after", 1]]) {
  $(id).addEventListener("click", () => { $("day").value = shifted($("day").value, days); refresh(true); });
}
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => refresh(true));
document.addEventListener("visibilitychange", () => refresh());

if (token()) {
  $("leave").hidden = !sessionStorage.getItem("token");
  addEventListener("load", () => refresh(true));
  if (document.readyState === "complete") refresh(true);
  setInterval(refresh, 1500);
} else enter();
