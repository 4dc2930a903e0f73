// The page of an explorer: native controls, pictures and words as the kernel describes them. Nothing is computed here.

const make = (tag, properties = {}, ...children) => {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
};

function render({ model, el }) {
  // Every widget loads this module anew, so that a counter would give two explorers the same ids.
  const id = `lab-${Math.random().toString(36).slice(2, 10)}`;
  const root = make("div", { className: "lab-explorer" });
  root.setAttribute("role", "region");
  root.setAttribute("aria-label", "explorer of one experiment");
  // The notebook's shortcuts must not fire while a slider takes the arrow keys.
  root.setAttribute("data-lm-suppress-shortcuts", "true");
  root.addEventListener("keydown", (event) => event.stopPropagation());

  const parts = {
    tour: make("div", { className: "lab-row" }),
    caption: make("div", { className: "lab-caption", hidden: true }),
    line: make("div", { className: "lab-line" }),
    error: make("div", { className: "lab-error", hidden: true }),
    groups: make("div", { className: "lab-groups" }),
    drawers: make("div"),
    predict: make("div"),
    view: make("div", { className: "lab-row" }),
    summary: make("p", { className: "lab-summary" }),
    pictures: make("div", { className: "lab-pictures" }),
    compare: make("div", { className: "lab-row" }),
    numbers: make("details", {}, make("summary", { textContent: "Numbers" }), make("div", { className: "lab-scroll" })),
  };
  parts.error.setAttribute("role", "alert");
  parts.summary.setAttribute("aria-live", "polite");
  parts.caption.setAttribute("aria-live", "polite");
  parts.numbers.lastChild.tabIndex = 0;
  parts.numbers.lastChild.setAttribute("role", "region");
  parts.numbers.lastChild.setAttribute("aria-label", "table of numbers");
  root.append(...Object.values(parts));
  el.append(root);

  // Back-pressure: one request is under way; of what comes meanwhile the last value of each control wins.
  let busy = null;
  let sent = 0;
  const waiting = new Map();
  const flush = () => {
    if (busy !== null || waiting.size === 0) return;
    const [key, value] = waiting.entries().next().value;
    waiting.delete(key);
    busy = ++sent;
    root.setAttribute("aria-busy", "true");
    model.send({ kind: "change", key, value, id: busy, page: id });
  };
  const change = (key, value) => {
    waiting.delete(key);
    waiting.set(key, value);
    flush();
  };
  const answered = (message) => {
    if (message.kind !== "done" || message.page !== id || message.id !== busy) return;
    busy = null;
    root.removeAttribute("aria-busy");
    flush();
  };

  const controls = new Map(); // key -> { kind, node, update }
  const named = (control, input) => {
    input.id = `${id}-${control.key}`;
    return make("label", { htmlFor: input.id, textContent: control.label, title: control.about });
  };
  const held = (input) => input === root.ownerDocument.activeElement && (busy !== null || waiting.size > 0);

  const makers = {
    slider(control) {
      const input = make("input", { type: "range", min: 0, step: 1 });
      const output = make("output");
      output.setAttribute("aria-hidden", "true"); // the slider itself says its value
      let now = control;
      const say = () => {
        output.textContent = now.texts[input.value] ?? "";
        input.setAttribute("aria-valuetext", `${now.label} = ${now.texts[input.value] ?? ""}`);
      };
      input.addEventListener("input", () => { say(); if (now.live) change(now.key, now.choices[input.value]); });
      input.addEventListener("change", () => change(now.key, now.choices[input.value]));
      const node = make("div", { className: "lab-control" }, named(control, input), input, output);
      return { node, input, update(next) {
        now = next;
        input.max = next.choices.length - 1;
        input.disabled = next.locked;
        if (!held(input)) input.value = next.choices.indexOf(next.value);
        say();
      } };
    },
    cursor(control) {
      const slider = makers.slider(control);
      slider.node.classList.add("lab-cursor");
      let now = control;
      let timer = null;
      const to = (index) => {
        slider.input.value = Math.max(0, Math.min(now.choices.length - 1, index));
        slider.input.dispatchEvent(new Event("input"));
      };
      const stop = () => {
        clearInterval(timer);
        timer = null;
        play.textContent = "▶";
        play.setAttribute("aria-label", "play");
      };
      const button = (text, label, act) => {
        const made = make("button", { type: "button", textContent: text });
        made.setAttribute("aria-label", label);
        made.addEventListener("click", act);
        return made;
      };
      const back = button("|◂", "one step back", () => { stop(); to(Number(slider.input.value) - 1); });
      const play = button("▶", "play", () => {
        if (timer !== null) return stop();
        if (Number(slider.input.value) === now.choices.length - 1) to(0);
        play.textContent = "❚❚";
        play.setAttribute("aria-label", "pause");
        timer = setInterval(() => {
          if (!root.isConnected) return stop();
          if (busy !== null) return; // never faster than it is drawn
          if (Number(slider.input.value) >= now.choices.length - 1) return stop();
          to(Number(slider.input.value) + 1);
        }, 120);
      });
      const forward = button("▸|", "one step forward", () => { stop(); to(Number(slider.input.value) + 1); });
      slider.node.prepend(back, play, forward);
      return { node: slider.node, update(next) {
        now = next;
        for (const each of [back, play, forward]) each.disabled = next.locked;
        slider.update(next);
      } };
    },
    select(control) {
      const input = make("select");
      input.addEventListener("change", () => change(control.key, input.value));
      let shown = "";
      return { node: make("div", { className: "lab-control" }, named(control, input), input), update(next) {
        const wanted = JSON.stringify([next.choices, next.texts]);
        if (wanted !== shown) {
          input.replaceChildren(...next.choices.map((value, i) => make("option", { value, textContent: next.texts[i] })));
          shown = wanted;
        }
        input.value = next.value;
        input.disabled = next.locked;
      } };
    },
    grid(control) {
      const node = make("div", { className: "lab-grid" });
      node.setAttribute("role", "radiogroup");
      node.setAttribute("aria-label", control.label);
      let shown = "";
      return { node, update(next) {
        const wanted = JSON.stringify(next.choices);
        if (wanted !== shown) {
          node.replaceChildren(...next.choices.map((value, i) => {
            const input = make("input", { type: "radio", name: `${id}-${control.key}`, value });
            input.addEventListener("change", () => change(control.key, value));
            return make("label", {}, input, ` ${next.texts[i]}`);
          }));
          shown = wanted;
        }
        for (const input of node.querySelectorAll("input")) {
          input.checked = input.value === next.value;
          input.disabled = next.locked;
        }
      } };
    },
    toggle(control) {
      const input = make("input", { type: "checkbox" });
      input.addEventListener("change", () => change(control.key, input.checked ? "yes" : "no"));
      return { node: make("div", { className: "lab-control" }, input, named(control, input)), update(next) {
        input.checked = next.value === "yes";
        input.disabled = next.locked;
      } };
    },
    button(control) {
      const node = make("button", { type: "button" });
      node.addEventListener("click", () => change(control.key, control.value));
      return { node, update(next) {
        Object.assign(node, { textContent: next.label, title: next.about, disabled: next.locked });
      } };
    },
    text(control) {
      const input = make("input", { type: "text", spellcheck: false, autocomplete: "off" });
      input.addEventListener("keydown", (event) => { if (event.key === "Enter") change(control.key, input.value); });
      const copy = make("button", { type: "button", textContent: "copy" });
      copy.setAttribute("aria-label", `copy the ${control.label}`);
      copy.addEventListener("click", async () => {
        try {
          await navigator.clipboard.writeText(input.value);
        } catch {
          input.select(); // a page without the right to the clipboard still has the selection
          root.ownerDocument.execCommand("copy");
        }
        copy.textContent = "copied";
        setTimeout(() => { copy.textContent = "copy"; }, 1200);
      });
      const node = make("div", { className: "lab-line" }, named(control, input), input, copy);
      node.style.flex = "1";
      let last = null;
      return { node, update(next) {
        // What a reader is mending after an error stays as it was written.
        if (next.value !== last || !model.get("view").error) input.value = next.value;
        last = next.value;
        input.disabled = next.locked;
      } };
    },
    question(control) {
      const node = make("fieldset", {}, make("legend", { textContent: control.label }));
      const row = make("div", { className: "lab-row" });
      node.append(row);
      return { node, update(next) {
        row.replaceChildren(...next.choices.map((value, i) => {
          const button = make("button", { type: "button", textContent: next.texts[i], disabled: next.locked });
          button.addEventListener("click", () => change(next.key, value));
          return button;
        }));
      } };
    },
    pins(control) {
      const node = make("ul");
      node.setAttribute("aria-label", control.label);
      return { node, update(next) {
        node.hidden = next.choices.length === 0;
        node.replaceChildren(...next.choices.map((line, i) => {
          const remove = make("button", { type: "button", textContent: "remove", disabled: next.locked });
          remove.setAttribute("aria-label", `remove pin ${i + 1}`);
          remove.addEventListener("click", () => change(next.key, line));
          return make("li", {}, `${i + 1}`, make("code", { textContent: line }), remove);
        }));
      } };
    },
    world(control) {
      const node = make("div");
      return { node, update(next) {
        if (node.contains(root.ownerDocument.activeElement) && node.dataset.value === next.value) return;
        node.dataset.value = next.value;
        const world = JSON.parse(next.value);
        const cell = (value, label) => {
          const input = make("input", { type: "text", inputMode: "decimal", value, disabled: next.locked });
          input.setAttribute("aria-label", label);
          return input;
        };
        const start = make("table", {}, make("caption", { textContent: "start probabilities, a row for each prompt" }));
        start.append(make("tr", {}, make("th", { textContent: "prompt" }),
          ...world.start[0].map((_, y) => make("th", { textContent: `response ${y}` }))));
        world.start.forEach((row, x) => start.append(make("tr", {}, make("th", { textContent: `${x}` }),
          ...row.map((value, y) => make("td", {}, cell(value, `start probability of prompt ${x}, response ${y}`))))));
        const heads = ["prompt", "chosen", "rejected", "weight"];
        const pairs = make("table", {}, make("caption", { textContent: "pairs" }),
          make("tr", {}, ...heads.map((head) => make("th", { textContent: head })), make("th", { textContent: "" })));
        const add = (pair) => {
          const drop = make("button", { type: "button", textContent: "remove", disabled: next.locked });
          const row = make("tr", {}, ...pair.map((value, i) => make("td", {}, cell(value, `${heads[i]} of a pair`))), make("td", {}, drop));
          drop.setAttribute("aria-label", "remove this pair");
          drop.addEventListener("click", () => row.remove());
          pairs.append(row);
        };
        world.pairs.forEach(add);
        const more = make("button", { type: "button", textContent: "add a pair", disabled: next.locked });
        more.addEventListener("click", () => add(["0", "0", "1", "1"]));
        const use = make("button", { type: "button", textContent: "use this world", disabled: next.locked });
        use.addEventListener("click", () => {
          const read = (table) => [...table.querySelectorAll("tr")].slice(1)
            .map((row) => [...row.querySelectorAll("input")].map((input) => input.value.trim()));
          change(next.key, JSON.stringify({ start: read(start), pairs: read(pairs) }));
        });
        node.replaceChildren(make("div", { className: "lab-scroll" }, start), make("div", { className: "lab-scroll" }, pairs), make("div", { className: "lab-row" }, more, use));
      } };
    },
  };

  const places = new Map(); // group -> where its controls stand
  const place = (group) => {
    if (places.has(group)) return places.get(group);
    let made = parts[group];
    if (!made && ["advanced", "own world"].includes(group)) {
      made = make("div", { className: "lab-groups" });
      if (group === "own world") made.style.display = "block";
      parts.drawers.append(make("details", {}, make("summary", { textContent: group === "advanced" ? "Advanced" : "Your own pairs" }), made));
    } else if (!made) {
      made = make("fieldset", {}, make("legend", { textContent: group }));
      parts.groups.append(made);
    }
    places.set(group, made);
    return made;
  };

  const showControls = (list) => {
    const wanted = new Set(list.map((control) => control.key));
    for (const [key, { node }] of controls) {
      if (!wanted.has(key)) { node.remove(); controls.delete(key); }
    }
    list.forEach((control) => {
      let made = controls.get(control.key);
      if (!made || made.kind !== control.kind) {
        made?.node.remove();
        made = { kind: control.kind, ...makers[control.kind](control) };
        made.node.dataset.labControl = control.key;
        controls.set(control.key, made);
      }
      const home = place(control.group);
      made.group = control.group;
      if (made.node.parentNode !== home) {
        // A control that appears later stands where the list has it.
        const after = list.slice(list.indexOf(control) + 1)
          .map((next) => controls.get(next.key)?.node).find((node) => node?.parentNode === home);
        home.insertBefore(made.node, after ?? null);
      }
      made.update(control);
    });
    for (const [group, home] of places) {
      const box = home.closest("details") ?? home;
      box.hidden = !list.some((control) => control.group === group);
    }
  };

  const showPictures = (pictures) => {
    parts.pictures.querySelectorAll("figure").forEach((figure) => {
      if (!pictures.some((picture) => picture.key === figure.dataset.key)) figure.remove();
    });
    for (const picture of pictures) {
      let figure = parts.pictures.querySelector(`figure[data-key="${picture.key}"]`);
      if (!figure) {
        figure = make("figure", {}, make("img"), make("div", { className: "lab-mark" }));
        figure.dataset.key = picture.key;
      }
      const place = pictures.indexOf(picture);
      if (parts.pictures.children[place] !== figure) parts.pictures.insertBefore(figure, parts.pictures.children[place] ?? null);
      const [image, line] = figure.children;
      if (image.getAttribute("src") !== picture.src) image.src = picture.src;
      image.alt = picture.alt;
      line.hidden = !picture.mark;
      if (picture.mark) {
        const [left, top, height] = picture.mark.map((share) => `${100 * share}%`);
        Object.assign(line.style, { left, top, height });
      }
    }
  };

  let renders = 0;
  const show = () => {
    const view = model.get("view");
    parts.error.hidden = !view.error;
    parts.error.textContent = view.error;
    parts.caption.hidden = view.caption.length === 0;
    const caption = JSON.stringify(view.caption);
    if (parts.caption.dataset.text !== caption) {
      parts.caption.dataset.text = caption;
      parts.caption.replaceChildren(...view.caption.map((text, i) => make(i ? "span" : "strong", { textContent: `${text} ` })));
    }
    showControls(view.controls);
    showPictures(view.pictures);
    if (parts.summary.textContent !== view.summary) parts.summary.textContent = view.summary;
    const body = view.rows.map((row) => make("tr", {}, ...row.map((text) => make("td", { textContent: text }))));
    const head = make("tr", {}, ...view.header.map((text) => {
      const cell = make("th", { textContent: text });
      cell.scope = "col";
      return cell;
    }));
    parts.numbers.hidden = body.length === 0;
    parts.numbers.lastChild.replaceChildren(make("table", {}, make("thead", {}, head), make("tbody", {}, ...body)));
    for (const name of Object.keys(root.dataset)) if (name.startsWith("labNumber")) delete root.dataset[name];
    for (const [name, value] of Object.entries(view.numbers)) root.setAttribute(`data-lab-number-${name}`, value);
    root.dataset.labLine = view.line;
    root.dataset.labRenders = String(++renders);
    root.dataset.labReady = "1";
  };

  model.on("msg:custom", answered);
  model.on("change:view", show);
  show();
  return () => {
    model.off("msg:custom", answered);
    model.off("change:view", show);
  };
}

export default { render };
