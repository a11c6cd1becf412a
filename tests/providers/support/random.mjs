/** Numbers from 0 to 1, the same for a seed in every run. */
export function randomNumbers(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    let bits = state;
    for (const factor of [0x85ebca6b, 0xc2b2ae35]) bits = Math.imul(bits ^ (bits >>> 15), factor);
    return ((bits ^ (bits >>> 16)) >>> 0) / 2 ** 32;
  };
}
