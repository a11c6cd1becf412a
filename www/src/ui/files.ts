/** Own files, chosen or dropped anywhere on the page. */
export function ownFiles(
  { button, input, veil }: { button: HTMLButtonElement; input: HTMLInputElement; veil: HTMLElement },
  open: (file: File) => void,
): void {
  button.addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    const [file] = input.files ?? [];
    if (file) open(file);
    // So that choosing the same, corrected file again is a change.
    input.value = "";
  });

  const carriesFile = (event: DragEvent) => event.dataTransfer?.types.includes("Files") ?? false;
  // `dragleave` also fires between the elements of the page; only as many leaves as enters end it.
  let depth = 0;
  const end = () => {
    depth = 0;
    veil.hidden = true;
  };
  addEventListener("dragenter", (event) => {
    if (!carriesFile(event)) return;
    depth++;
    veil.hidden = false;
  });
  addEventListener("dragleave", (event) => {
    if (carriesFile(event) && --depth <= 0) end();
  });
  addEventListener("dragover", (event) => {
    if (carriesFile(event)) event.preventDefault();
  });
  addEventListener("drop", (event) => {
    end();
    const [file] = event.dataTransfer?.files ?? [];
    if (!file) return;
    event.preventDefault();
    open(file);
  });
}
