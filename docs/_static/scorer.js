/* The order of the search results: pages for users come before those for contributors, and an entry of the index, which
   a page declares for a term that users search for, before everything else. */
var Scorer = {
  score: ([docname, title, anchor, descr, score, filename, kind]) => {
    if (docname.startsWith("decisions/")) return score - 40;
    if (docname.startsWith("contributing/")) return score - 20;
    if (docname.endsWith("/index")) return score - 5;
    return docname.startsWith("how-to/") && kind !== "index" ? score + 5 : score;
  },
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};
