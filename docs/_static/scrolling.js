// Blocks and tables that scroll sideways can be reached by keyboard, and show on which side they continue.
const scrolling = () => document.querySelectorAll("article pre, article .table-wrapper");
const show = (one) => {
  const left = one.scrollWidth - one.clientWidth - one.scrollLeft;
  one.classList.toggle("continues-left", one.scrollLeft > 1);
  one.classList.toggle("continues-right", left > 1);
};
const update = () => {
  for (const one of scrolling()) {
    if (one.scrollWidth > one.clientWidth) one.tabIndex = 0;
    else one.removeAttribute("tabindex");
    show(one);
  }
};
addEventListener("load", () => {
  for (const one of scrolling()) one.addEventListener("scroll", () => show(one), { passive: true });
  update();
});
addEventListener("resize", update);
