/** Tells the style sheet how much of the window the dock covers: what scrolls to the top must stop below it. */
export function measureDock(dock: HTMLElement): void {
  new ResizeObserver(() => {
    // On low screens it scrolls away with the page.
    const covers = getComputedStyle(dock).position === "sticky" ? dock.offsetHeight : 0;
    document.documentElement.style.setProperty("--dock-height", `${covers}px`);
  }).observe(dock);
}
