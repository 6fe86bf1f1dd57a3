// Reads one frame in one pass: every element a person could use or read, with what they would call it.
// Returns {elements, nodes}: plain data for Python, and the DOM nodes in the same order. Nothing is left in the page.
(limit) => {
  const squash = (s) => (s || "").replace(/\s+/g, " ").trim();
  const clip = (s, n) => (s.length > n ? s.slice(0, n) : s);
  const INPUT_ROLES = {
    button: "button", submit: "button", reset: "button", image: "button", checkbox: "checkbox", radio: "radio",
    range: "slider", number: "spinbutton", search: "searchbox", file: "file", hidden: "",
  };
  const TAG_ROLES = {
    a: "link", button: "button", select: "combobox", textarea: "textbox", option: "option", summary: "button",
    h1: "heading", h2: "heading", h3: "heading", h4: "heading", h5: "heading", h6: "heading", img: "img",
    table: "table", th: "columnheader", td: "cell", nav: "navigation", dialog: "dialog", li: "listitem",
  };
  const WIDGETS = new Set([
    "button", "link", "checkbox", "radio", "switch", "textbox", "searchbox", "combobox", "listbox", "option", "tab",
    "menuitem", "menuitemcheckbox", "menuitemradio", "slider", "spinbutton", "treeitem", "file",
  ]);
  const NAMED_BY_CONTENT = new Set([...WIDGETS, "heading", "cell", "columnheader", "listitem", "alert", "status"]);
  ["textbox", "searchbox", "combobox", "listbox", "slider", "spinbutton", "file"].forEach((r) => NAMED_BY_CONTENT.delete(r));

  const roleOf = (el) => {
    const said = (el.getAttribute("role") || "").trim().split(/\s+/)[0];
    if (said && said !== "presentation" && said !== "none") return said;
    const tag = el.localName;
    if (tag === "input") return INPUT_ROLES[el.type] ?? "textbox";
    if (tag === "a" && !el.hasAttribute("href")) return "";
    if (tag === "select" && (el.multiple || el.size > 1)) return "listbox";
    if (TAG_ROLES[tag]) return TAG_ROLES[tag];
    return el.isContentEditable && !el.parentElement?.isContentEditable ? "textbox" : "";
  };
  const textOf = (el) => clip(squash(el.innerText ?? el.textContent), 300);
  const byIds = (el, attribute) => (el.getAttribute(attribute) || "").split(/\s+/).filter(Boolean)
    .map((id) => el.getRootNode().getElementById?.(id)).filter(Boolean).map((e) => squash(e.innerText || e.textContent)).join(" ");
  const labelText = (label, el) => {
    // A label that wraps its field also holds the field's own text (options of a list): leave that out.
    if (!label.contains(el) || el.localName === "input") return squash(label.innerText ?? label.textContent);
    let words = "";
    const walk = (n) => { for (const c of n.childNodes) { if (c === el) continue; if (c.nodeType === 3) words += " " + c.data; else if (c.nodeType === 1) walk(c); } };
    walk(label);
    return squash(words);
  };
  const isField = (el) => ["input", "select", "textarea"].includes(el.localName) || el.isContentEditable;
  const nearbyLabel = (el) => {
    // Pages without <label>: the words just before the field, or the header cell of its row.
    const cell = el.closest("td");
    const head = cell?.parentElement?.querySelector("th") || cell?.previousElementSibling;
    if (head && !head.querySelector("input,select,textarea,button")) return squash(head.innerText);
    for (let n = el.previousSibling, hops = 0; n && hops < 3; n = n.previousSibling, hops++) {
      if (n.nodeType === 1 && (isField(n) || n.querySelector?.("input,select,textarea"))) break;
      const words = squash(n.textContent);
      if (words) return words.length <= 60 ? words : "";
    }
    const parent = el.parentElement, before = parent?.previousElementSibling;
    if (before && parent.querySelectorAll("input,select,textarea").length === 1 && !before.querySelector("input,select,textarea,button,a")) {
      const words = squash(before.textContent);
      if (words && words.length <= 60) return words;
    }
    return "";
  };
  const labelOf = (el) => {
    if (!isField(el)) return "";
    if (el.labels?.length) return clip([...el.labels].map((l) => labelText(l, el)).join(" "), 200);
    return clip(nearbyLabel(el), 200);
  };
  const nameOf = (el, role, label) => {
    const said = byIds(el, "aria-labelledby") || squash(el.getAttribute("aria-label"));
    if (said) return clip(said, 300);
    if (el.localName === "input" && ["button", "submit", "reset"].includes(el.type)) {
      return squash(el.value) || (el.type === "button" ? "" : el.type === "submit" ? "Submit" : "Reset");
    }
    if (isField(el) && role !== "button") return label || squash(el.getAttribute("title")) || squash(el.placeholder);
    if (el.localName === "img" || (el.localName === "input" && el.type === "image")) return squash(el.alt);
    let words = NAMED_BY_CONTENT.has(role) ? textOf(el) : "";
    if (!words && WIDGETS.has(role)) words = [...el.querySelectorAll("img[alt],svg title,[aria-label]")]
      .map((e) => squash(e.alt || e.getAttribute("aria-label") || e.textContent)).join(" ");
    return clip(squash(words) || squash(el.getAttribute("title")), 300);
  };
  const shown = (el, style) => {
    if (style.visibility !== "visible") return false;
    if (el.localName === "option") return true;
    const box = el.getBoundingClientRect();
    if (box.width > 0 && box.height > 0) return true;
    return style.display === "contents" || el.getClientRects().length > 0;
  };
  const ownText = (el) => { let words = ""; for (const c of el.childNodes) if (c.nodeType === 3) words += c.data; return squash(words); };
  const stateOf = (el, role) => {
    const aria = (k) => el.getAttribute("aria-" + k), s = {};
    if (["checkbox", "radio"].includes(el.type) && el.localName === "input") s.checked = el.checked;
    else if (aria("checked") !== null) s.checked = aria("checked") === "true";
    if (el.disabled || aria("disabled") === "true" || el.closest?.("fieldset[disabled]")) s.disabled = true;
    if (aria("expanded") !== null) s.expanded = aria("expanded") === "true";
    if (aria("selected") !== null) s.selected = aria("selected") === "true";
    if (el.required || aria("required") === "true") s.required = true;
    if (el.readOnly) s.readonly = true;
    if (el.getRootNode().activeElement === el && el !== document.body) s.focused = true;
    return s;
  };
  const SECRET = /one-time-code|password/;
  const valueOf = (el) => {
    if (el.type === "password" || SECRET.test(el.autocomplete || "")) return el.value ? "***" : "";
    if (el.localName === "select") return [...el.selectedOptions].map((o) => squash(o.label)).join(", ");
    if (["input", "textarea"].includes(el.localName)) return ["checkbox", "radio", "file", "button", "submit", "image"].includes(el.type) ? "" : clip(el.value, 300);
    return el.isContentEditable ? textOf(el) : "";
  };
  const elements = [], nodes = [];
  const describe = (el, role, hidden, inWidget) => {
    const label = labelOf(el), box = el.getBoundingClientRect();
    elements.push({
      role, name: nameOf(el, role, label), label, text: clip(isField(el) ? "" : ownText(el) || (WIDGETS.has(role) ? textOf(el) : ""), 300),
      placeholder: squash(el.placeholder ?? el.getAttribute("aria-placeholder")), value: valueOf(el), tag: el.localName,
      type: el.localName === "input" ? el.type : "", autocomplete: el.getAttribute("autocomplete") || "", id: el.id || "",
      field_name: el.getAttribute("name") || "", max_length: el.maxLength > 0 ? el.maxLength : 0, test_id: el.getAttribute("data-testid") || "",
      state: stateOf(el, role), box: [box.x, box.y, box.width, box.height].map(Math.round), hidden, in_widget: inWidget,
      options: el.localName === "select" ? [...el.options].slice(0, 100).map((o) => squash(o.label)) : [],
      href: el.localName === "a" ? el.getAttribute("href") || "" : "",
    });
    nodes.push(el);
  };
  const visit = (el, inWidget) => {
    if (elements.length >= limit) return;
    const tag = el.localName;
    if (["script", "style", "template", "noscript", "head", "svg"].includes(tag)) return;
    const style = getComputedStyle(el);
    if (style.display === "none" && !(tag === "input" && el.type === "file") && tag !== "option") return;
    const role = roleOf(el), seen = shown(el, style) && el.getAttribute("aria-hidden") !== "true";
    // Styled checkboxes and upload buttons hide the real input behind a label; it is still the thing to act on.
    const behindLabel = tag === "input" && ["checkbox", "radio", "file"].includes(el.type) && (!seen || style.opacity === "0");
    const widget = WIDGETS.has(role) || (style.cursor === "pointer" && el.parentElement && getComputedStyle(el.parentElement).cursor !== "pointer");
    if (tag !== "option" && (seen || behindLabel)) {
      if (role && (WIDGETS.has(role) || ["heading", "img", "alert", "status", "dialog", "tabpanel", "cell", "columnheader"].includes(role))) describe(el, role, behindLabel, inWidget);
      else if (widget || (ownText(el) && tag !== "body")) describe(el, role || (widget ? "clickable" : tag === "label" ? "label" : "text"), false, inWidget);
    }
    if (el.shadowRoot) for (const child of el.shadowRoot.children) visit(child, inWidget || widget);
    if (tag !== "select") for (const child of el.children) visit(child, inWidget || widget);
  };
  if (document.body) visit(document.body, false);
  return { elements, nodes };
}
