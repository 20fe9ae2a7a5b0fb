// Blocks and tables that scroll sideways can be reached by keyboard.
const update = () => {
  for (const one of document.querySelectorAll("article pre, article .table-wrapper")) {
    if (one.scrollWidth > one.clientWidth) one.tabIndex = 0;
    else one.removeAttribute("tabindex");
  }
};
addEventListener("load", update);
addEventListener("resize", update);
