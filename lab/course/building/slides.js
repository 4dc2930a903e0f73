(() => {
  const slides = [...document.querySelectorAll("section")];
  const forward = ["ArrowRight", "PageDown"], back = ["ArrowLeft", "PageUp"];
  const current = () => slides.findLastIndex((slide) => slide.getBoundingClientRect().top < 8);
  document.addEventListener("keydown", (event) => {
    const step = forward.includes(event.key) ? 1 : back.includes(event.key) ? -1 : 0;
    if (!step || event.altKey || event.ctrlKey || event.metaKey) return;
    const next = slides[Math.max(0, Math.min(slides.length - 1, current() + step))];
    event.preventDefault();
    next.scrollIntoView();
    next.focus({ preventScroll: true });
  });
})();
