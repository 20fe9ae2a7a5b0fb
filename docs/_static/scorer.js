// The order of the results of a search: pages for users are before the records of decisions.
const OFFSETS = { "how-to": 3, start: 3, decisions: -12, contributing: -4 };
var Scorer = {
  score: ([page, , , , score]) => score + (OFFSETS[page.split("/")[0]] ?? 0),
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};
