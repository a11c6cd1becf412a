/** Long enough that moving the slider through many values is announced once. */
const QUIET = 700;

/** Says the newest state to screen readers, when it has settled. */
export function announcer(region: HTMLElement): (text: string) => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  return (text) => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      region.textContent = text;
    }, QUIET);
  };
}
