// Reads the data on one page in one pass: tables, repeated items, and labelled values. Plain data, nothing is changed.
() => {
  const squash = (s) => (s || "").replace(/\s+/g, " ").trim();
  const shown = (el) => el.getClientRects().length > 0 && getComputedStyle(el).visibility === "visible";
  const text = (el) => squash(el.innerText ?? el.textContent);
  const linkOf = (el) => (el.matches?.("a[href]") ? el : el.querySelector?.("a[href]"))?.href || "";
  const valueOf = (el) => {
    const box = el.querySelector?.("input[type=checkbox],input[type=radio]");
    const words = text(el);
    if (!words && box) return box.checked ? "yes" : "no";
    const field = el.querySelector?.("input:not([type=hidden]):not([type=password]),select,textarea");
    if (!words && field) return squash(field.localName === "select" ? field.selectedOptions[0]?.label : field.value);
    return words || squash(el.querySelector?.("img[alt]")?.alt) || squash(el.querySelector?.("[aria-label],[title]")?.getAttribute("aria-label"));
  };
  const cell = (el) => ({ text: valueOf(el), href: linkOf(el) });
  const headings = [...document.querySelectorAll("h1,h2,h3,h4,h5,h6,legend,[role=heading]")].filter(shown);
  const headingOf = (el) => {
    let best = "";
    for (const h of headings) {
      if (el.contains(h)) continue;
      if (h.compareDocumentPosition(el) & Node.DOCUMENT_POSITION_FOLLOWING) best = text(h); else break;
    }
    return squash(`${el.getAttribute("aria-label") || ""} ${best}`);
  };

  const tables = [];
  for (const table of document.querySelectorAll("table,[role=table],[role=grid]")) {
    if (!shown(table) || table.querySelector("table")) continue;
    const rows = [...table.querySelectorAll("tr,[role=row]")].filter(shown)
      .map((row) => [...row.querySelectorAll(":scope > td,:scope > th,:scope > [role=cell],:scope > [role=gridcell],:scope > [role=columnheader],:scope > [role=rowheader]")]);
    const filled = rows.filter((cells) => cells.length > 0);
    if (!filled.length) continue;
    const isHead = (c) => (c.localName === "th" && c.scope !== "row") || c.getAttribute("role") === "columnheader";
    const at = filled.findIndex((cells) => cells.length > 1 && cells.every((c) => isHead(c) || !text(c)));
    const headers = at < 0 ? [] : filled[at].flatMap((c) => Array(c.colSpan || 1).fill(text(c)));
    const body = filled.slice(at + 1).filter((cells) => !cells[0].closest("tfoot"));
    tables.push({
      caption: squash(table.caption?.innerText), heading: headingOf(table), headers,
      rows: body.map((cells) => cells.flatMap((c) => Array(c.colSpan || 1).fill(cell(c)))),
    });
  }

  const fields = [];
  const add = (label, value, href = "") => {
    const words = squash(label).replace(/\s*[:：]\s*$/, "");
    if (words && words.length <= 80 && value !== "") fields.push({ label: words, text: value, href });
  };
  const PAIR = /^([^:：\d][^:：]{0,59}?)\s*[:：]\s+(\S.*)$/;
  const pairsIn = (root, put) => {
    for (const dt of root.querySelectorAll("dt")) if (shown(dt)) {
      let dd = dt.nextElementSibling;
      while (dd && dd.localName === "dt") dd = dd.nextElementSibling;
      if (dd?.localName === "dd") put(text(dt), valueOf(dd), linkOf(dd));
    }
    for (const el of root.querySelectorAll("p,li,div,span,td,strong,b,label")) {
      if (!shown(el) || el.closest("dl,select")) continue;
      if (el.children.length === 1 && /[:：]\s*$/.test(text(el.children[0]))) {
        const label = text(el.children[0]), rest = text(el);
        if (rest.startsWith(label)) put(label, squash(rest.slice(label.length)), linkOf(el));
      } else if (!el.querySelector("p,li,div,table,ul,ol,dl")) {
        const pair = PAIR.exec(text(el));
        if (pair && !(el.children.length === 1 && text(el.children[0]) === text(el))) put(pair[1], squash(pair[2]), linkOf(el));
      }
      const next = el.nextElementSibling;
      if (/[:：]\s*$/.test(text(el)) && next && !next.matches("input,select,textarea") && text(next)) put(text(el), valueOf(next), linkOf(next));
    }
  };
  for (const row of document.querySelectorAll("tr")) {
    if (!shown(row)) continue;
    const cells = [...row.children];
    if (cells.length === 2 && cells[0].localName === "th" && cells[1].localName === "td") add(text(cells[0]), valueOf(cells[1]), linkOf(cells[1]));
    else if (cells.length === 2 && cells.every((c) => c.localName === "td") && (row.parentElement.closest("tfoot") || /[:：]\s*$/.test(text(cells[0])))) add(text(cells[0]), valueOf(cells[1]), linkOf(cells[1]));
    else if (row.closest("tfoot") && cells.length >= 2) add(text(cells[0]), valueOf(cells[cells.length - 1]));
  }
  pairsIn(document, add);
  for (const input of document.querySelectorAll("input,select,textarea")) {
    if (!shown(input) || ["password", "hidden", "submit", "button", "file"].includes(input.type) || input.autocomplete === "one-time-code") continue;
    const label = [...(input.labels || [])].map(text).join(" ") || input.getAttribute("aria-label") || "";
    const value = ["checkbox", "radio"].includes(input.type) ? (input.checked ? "yes" : "no") : input.localName === "select" ? input.selectedOptions[0]?.label : input.value;
    add(label, squash(value));
  }
  for (const el of document.querySelectorAll("[itemprop]")) add(el.getAttribute("itemprop"), el.content ?? valueOf(el), linkOf(el));
  for (const el of document.querySelectorAll("[data-field],[data-testid]")) if (shown(el) && !el.children.length) add(el.dataset.field || el.dataset.testid, text(el), linkOf(el));
  for (const el of document.querySelectorAll("main [id],body > [id],div [id],p [id],span[id]")) if (shown(el) && !el.children.length && !el.matches("input,select,textarea,button,a")) add(el.id, text(el));
  for (const el of document.querySelectorAll("[class]")) if (shown(el) && !el.children.length && !el.matches("input,select,textarea,button,a,label,th,td,li") && el.classList.length === 1) add(el.className, text(el));
  const h1 = document.querySelector("h1");
  if (h1 && shown(h1)) add("heading", text(h1));
  add("title", squash(document.title));

  const lists = [];
  const kindOf = (el) => el.localName + "." + (el.classList[0] || "");
  const parts = (item) => {
    const found = [];
    pairsIn(item, (label, value, href) => found.push({ keys: [squash(label).replace(/\s*[:：]\s*$/, "")], text: value, href }));
    for (const el of [item, ...item.querySelectorAll("*")]) {
      const own = [...el.childNodes].some((n) => n.nodeType === 3 && squash(n.data));
      if (el !== item && !own && !el.matches("img,[itemprop],[data-field],a[href]")) continue;
      const keys = [el.getAttribute("itemprop"), el.dataset.field, el.dataset.testid, ...(el === item ? [] : el.classList), el.getAttribute("aria-label")].filter(Boolean);
      if (/^h[1-6]$/.test(el.localName)) keys.push("title", "name", "heading");
      if (el.matches("a[href]")) keys.push("link", "url");
      if (el.localName === "time") keys.push("date", "time");
      if (el.localName === "img") keys.push("image");
      if (keys.length && el !== item) found.push({ keys, text: el.content ?? valueOf(el), href: el.matches("img") ? el.src : linkOf(el) });
    }
    return found;
  };
  for (const parent of document.querySelectorAll("body *, body")) {
    if (lists.length >= 60 || parent.matches("table,thead,tbody,tfoot,tr,select,dl,form,p,svg,svg *")) continue;
    const groups = new Map();
    for (const child of parent.children) {
      if (child.matches("br,hr,script,style,input,label,button,option,h1,h2,h3,h4,h5,h6,table") || !shown(child) || !text(child)) continue;
      groups.set(kindOf(child), [...(groups.get(kindOf(child)) || []), child]);
    }
    for (const items of groups.values()) {
      const listed = items[0].localName === "li" || items[0].localName === "article" || items[0].getAttribute("role") === "listitem";
      if (items.length < (listed ? 1 : 2)) continue;
      lists.push({ heading: headingOf(parent), in_navigation: !!parent.closest("nav,header,footer,[role=navigation]"),
        items: items.slice(0, 500).map((item) => ({ text: text(item), href: linkOf(item), parts: parts(item) })) });
    }
  }
  return { url: location.href, title: squash(document.title), tables, lists, fields: fields.slice(0, 500) };
}
