"use strict";
// The findings of report.html: search, filter, sort, group, page, open, copy, export. Nothing is loaded, and
// everything that comes from an audited account goes into the page as text (textContent), never as markup.
(async () => {
  // A browser without this (before 2023) keeps the page that is there without a script.
  if (!("DecompressionStream" in window)) return;
  const PAGE = 100;
  const ON_PAPER = 2000;
  const STATUSES = ["fail", "unknown", "pass", "not_applicable"];
  const STATUS_WORDS = ["Fail", "Unknown", "Pass", "Not applicable"];
  const SYMBOLS = ["✕", "?", "✓", "–"];
  const SEVERITIES = ["informational", "low", "medium", "high", "critical"];
  const DEFAULTS = {
    q: "", status: "fail,unknown", severity: "", rule: "", account: "", region: "", framework: "", control: "",
    practice: "", only: "", sort: "severity", group: "rule", page: "1",
  };
  // Where a finding keeps what: see auditor/report_data.py.
  const [RULE, RESOURCE, STATUS, SEVERITY, TEXT, SHAPE, VALUES, SUB_KEY, REASON, PERMISSION, STATE, ACCEPTANCE] =
    Array(12).keys();
  const [ARN, NAME, KIND, ACCOUNT, REGION, TAGS] = Array(6).keys();

  const byId = (id) => document.getElementById(id);
  const packed = Uint8Array.from(atob(byId("data").textContent), (char) => char.charCodeAt(0));
  const unpacked = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const data = JSON.parse(await new Response(unpacked).text());
  const { findings, rules, resources, texts, values, shapes } = data;
  const explorer = byId("explorer");
  const form = byId("filters");
  const table = byId("table");
  let state = { ...DEFAULTS };
  let shown = []; // numbers of the findings that the filters let through, in the order of the table
  let focused = -1; // the finding that a link named
  const open = new Set();

  // Text

  const INVISIBLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}]/gu;

  /** A text with control, format and line characters as escapes, as the rest of the page has it. */
  const plain = (text) =>
    String(text).replace(INVISIBLE, (char) => {
      const code = char.codePointAt(0);
      return code < 256 ? "\\x" + code.toString(16).padStart(2, "0") : "\\u" + code.toString(16).padStart(4, "0");
    });

  const number = (count) => count.toLocaleString("en-US");
  const plural = (count, noun) => `${number(count)} ${noun}${count === 1 ? "" : "s"}`;
  const capital = (word) => word.charAt(0).toUpperCase() + word.slice(1);

  /** An element with classes, attributes and children; texts become text nodes. */
  function make(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
      else if (value !== false && value !== null) element.setAttribute(name, value === true ? "" : value);
    }
    element.append(...children.filter((one) => one !== null && one !== undefined && one !== ""));
    return element;
  }

  /** A value of the evidence: a text as it is, all else as JSON, over several lines where it is long. */
  function pretty(value) {
    if (typeof value === "string") return plain(value);
    const line = JSON.stringify(value);
    return line.length > 72 ? plainLines(JSON.stringify(value, null, 2)) : plain(line);
  }

  const plainLines = (text) => text.split("\n").map(plain).join("\n");

  // What a finding says

  const accountOf = (finding) => data.accounts[resources[finding[RESOURCE]][ACCOUNT]];
  const regionOf = (finding) => data.regions[resources[finding[RESOURCE]][REGION]];
  const acceptanceOf = (finding) => data.acceptances[finding[ACCEPTANCE] ?? -1];
  const evidenceOf = (finding) =>
    Object.fromEntries(shapes[finding[SHAPE]].map((name, place) => [name, values[finding[VALUES][place]]]));

  function badge(finding) {
    const accepted = acceptanceOf(finding);
    if (!accepted) return finding[STATE] === "new" ? "New" : "";
    return accepted[4] ? `Accepted until ${accepted[2]}: expired` : `Accepted until ${accepted[2]}`;
  }

  /** The id of a finding: SHA-256 of rule NUL resource (NUL sub-key), as in report.json. */
  const idOf = (finding) => {
    const parts = [rules[finding[RULE]].id, resources[finding[RESOURCE]][ARN]];
    if (typeof finding[SUB_KEY] === "string") parts.push(finding[SUB_KEY]);
    return sha256(new TextEncoder().encode(parts.join("\0")));
  };

  // crypto.subtle is missing where the page comes over plain HTTP, and it cannot be asked for one result at once.
  const [K, H] = (() => {
    const primes = [];
    for (let n = 2; primes.length < 64; n++) if (primes.every((prime) => n % prime)) primes.push(n);
    const bits = (root) => Math.floor((root - Math.floor(root)) * 2 ** 32) >>> 0;
    return [primes.map((prime) => bits(Math.cbrt(prime))), primes.slice(0, 8).map((prime) => bits(Math.sqrt(prime)))];
  })();

  function sha256(bytes) {
    const length = bytes.length;
    const padded = new Uint8Array(((length + 8) >> 6 << 6) + 64);
    padded.set(bytes);
    padded[length] = 0x80;
    const view = new DataView(padded.buffer);
    view.setUint32(padded.length - 8, Math.floor(length / 2 ** 29));
    view.setUint32(padded.length - 4, length << 3);
    const hash = new Uint32Array(H);
    const w = new Uint32Array(64);
    const turn = (x, by) => (x >>> by) | (x << (32 - by));
    for (let at = 0; at < padded.length; at += 64) {
      for (let i = 0; i < 16; i++) w[i] = view.getUint32(at + i * 4);
      for (let i = 16; i < 64; i++) {
        const a = w[i - 15], b = w[i - 2];
        w[i] = w[i - 16] + w[i - 7] + (turn(a, 7) ^ turn(a, 18) ^ (a >>> 3)) + (turn(b, 17) ^ turn(b, 19) ^ (b >>> 10));
      }
      let [a, b, c, d, e, f, g, h] = hash;
      for (let i = 0; i < 64; i++) {
        const one = (h + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + ((e & f) ^ (~e & g)) + K[i] + w[i]) | 0;
        const two = ((turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + ((a & b) ^ (a & c) ^ (b & c))) | 0;
        [h, g, f, e, d, c, b, a] = [g, f, e, (d + one) | 0, c, b, a, (one + two) | 0];
      }
      [a, b, c, d, e, f, g, h].forEach((value, i) => { hash[i] += value; });
    }
    return Array.from(hash, (word) => word.toString(16).padStart(8, "0")).join("");
  }

  /** The rule's command for a finding's resource. Only what a shell takes for one word as it is is filled in. */
  function command(finding) {
    const resource = resources[finding[RESOURCE]];
    const [, , named, located] = data.kinds[resource[KIND]];
    const region = regionOf(finding);
    const known = { ACCOUNT: accountOf(finding)[0], REGION: region === "global" ? "" : region };
    if (named) known[named] = resource[NAME];
    if (located) known[located] = resource[ARN];
    return rules[finding[RULE]].cli.replace(/\$(?:\{([A-Za-z_]\w*)\}|([A-Za-z_]\w*))/g, (all, braced, bare) => {
      const value = known[braced ?? bare] ?? "";
      return /^[\w@%+=:,./][\w@%+=:,./-]*$/.test(value) ? value : all;
    });
  }

  // Filter, sort, group

  const lower = (text) => text.toLowerCase();

  /** For each word of the search: which rules, resources, texts and values have it. */
  function searched(query) {
    return lower(query).split(/\s+/).filter(Boolean).map((word) => {
      const has = (text) => lower(text).includes(word);
      return {
        word,
        rules: rules.map((rule) => has(rule.id) || has(rule.title)),
        resources: resources.map((one) =>
          has(one[ARN]) || has(one[NAME]) || has(data.accounts[one[ACCOUNT]][1]) || has(data.kinds[one[KIND]][1]) ||
          Object.entries(one[TAGS] ?? {}).some(([key, value]) => has(`${key}=${value}`))),
        texts: texts.map(has),
        values: values.map((value) => has(typeof value === "string" ? value : JSON.stringify(value))),
      };
    });
  }

  const found = (finding, words) => words.every((one) =>
    one.rules[finding[RULE]] || one.resources[finding[RESOURCE]] || one.texts[finding[TEXT]] ||
    (typeof finding[SUB_KEY] === "string" && lower(finding[SUB_KEY]).includes(one.word)) ||
    finding[VALUES].some((value) => one.values[value]));

  const set = (text) => new Set(text.split(",").filter(Boolean));

  function matching() {
    const statuses = set(state.status), severities = set(state.severity);
    const words = searched(state.q);
    const status = STATUSES.map((one) => !statuses.size || statuses.has(one));
    const severity = SEVERITIES.map((one) => !severities.size || severities.has(one));
    const rule = rules.map((one) =>
      (!state.rule || one.id === state.rule) && (!state.practice || one.practices.includes(state.practice)) &&
      (!state.framework || Boolean(one.controls[state.framework])) &&
      (!state.control || (one.controls[state.framework] ?? []).includes(state.control)));
    const resource = resources.map((one) =>
      (!state.account || data.accounts[one[ACCOUNT]][0] === state.account) &&
      (!state.region || data.regions[one[REGION]] === state.region));
    const only = {
      "": () => true,
      new: (one) => one[STATE] === "new",
      open: (one) => !acceptanceOf(one) || acceptanceOf(one)[4],
      accepted: (one) => Boolean(acceptanceOf(one)) && !acceptanceOf(one)[4],
      expired: (one) => Boolean(acceptanceOf(one)) && acceptanceOf(one)[4],
    }[state.only];
    return sorted().filter((place) => {
      const one = findings[place];
      return status[one[STATUS]] && severity[one[SEVERITY]] && rule[one[RULE]] && resource[one[RESOURCE]] &&
        only(one) && (!words.length || found(one, words));
    });
  }

  const ranks = (items, text) => {
    const order = items.map((_, place) => place).sort((a, b) => (text(items[a]) < text(items[b]) ? -1 : 1));
    const rank = [];
    order.forEach((place, at) => { rank[place] = at; });
    return rank;
  };
  const ranksOf = {
    rule: ranks(rules, (one) => lower(one.title)),
    resource: ranks(resources, (one) => lower(one[NAME]) + "\0" + one[ARN]),
    message: ranks(texts, lower),
  };
  const KEYS = {
    // Failures first, then what is unknown; within a status the worst first, as report.json has them.
    severity: (one) => one[STATUS] * 8 - one[SEVERITY],
    status: (one) => one[STATUS],
    rule: (one) => ranksOf.rule[one[RULE]],
    resource: (one) => ranksOf.resource[one[RESOURCE]],
    message: (one) => ranksOf.message[one[TEXT]],
  };
  const orders = new Map();

  function sorted() {
    if (!orders.has(state.sort)) {
      const down = state.sort.startsWith("-");
      const key = KEYS[state.sort.replace("-", "")];
      const keys = findings.map(key);
      const order = findings.map((_, place) => place);
      orders.set(state.sort, order.sort((a, b) => (down ? keys[b] - keys[a] : keys[a] - keys[b]) || a - b));
    }
    return orders.get(state.sort);
  }

  const GROUPS = {
    rule: (one) => one[RULE],
    resource: (one) => one[RESOURCE],
    account: (one) => resources[one[RESOURCE]][ACCOUNT],
    region: (one) => resources[one[RESOURCE]][REGION],
  };

  /** Put findings of a group together; the groups stand as their first ones do. */
  function grouped(places) {
    if (!state.group) return places;
    const groups = new Map();
    for (const place of places) {
      const key = GROUPS[state.group](findings[place]);
      if (!groups.has(key)) groups.set(key, []);
      groups.get(key).push(place);
    }
    return [...groups.values()].flat();
  }

  function groupTitle(finding) {
    const rule = rules[finding[RULE]], resource = resources[finding[RESOURCE]];
    if (state.group === "rule") return [plain(rule.title), ruleLink(rule)];
    if (state.group === "resource") return [plain(resource[NAME]), plain(place(finding))];
    if (state.group === "account") return [plain(accountOf(finding).filter(Boolean).join(" "))];
    return [regionOf(finding)];
  }

  // The table

  const ruleLink = (rule) => make("a", { class: "id", href: `#r-${rule.id}` }, make("code", {}, plain(rule.id)));

  function place(finding) {
    const [account, name] = accountOf(finding);
    const noun = data.kinds[resources[finding[RESOURCE]][KIND]][1];
    return [noun, regionOf(finding), name ? `${name} ${account}` : account].join(" · ");
  }

  function statusWord(status) {
    return make("span", { class: `s s-${STATUSES[status]}` },
      make("span", { "aria-hidden": "true" }, SYMBOLS[status]), ` ${STATUS_WORDS[status]}`);
  }

  function severityWord(severity) {
    const label = SEVERITIES[severity];
    return make("span", { class: `sev sev-${label}` }, capital(label));
  }

  function row(at) {
    const finding = findings[at], resource = resources[finding[RESOURCE]], rule = rules[finding[RULE]];
    const mark = badge(finding);
    const subKey = typeof finding[SUB_KEY] === "string" ? ` · ${plain(finding[SUB_KEY])}` : "";
    const toggle = make("button", {
      type: "button", class: "toggle", "aria-expanded": String(open.has(at)), "aria-controls": `b-${at}`,
      onclick: () => flip(at),
    }, plain(texts[finding[TEXT]]));
    return make("tr", { role: "row", id: `row-${at}`, class: open.has(at) ? "line open" : "line" },
      make("td", { role: "cell", class: "what" }, toggle,
        mark ? make("span", { class: "mark-word" }, mark) : null,
        state.group === "rule" ? null : make("span", { class: "under" }, ruleLink(rule))),
      make("td", { role: "cell", class: "where" }, make("span", { class: "title" }, plain(resource[NAME]) + subKey),
        make("span", { class: "under" }, plain(place(finding)))),
      make("td", { role: "cell", class: "how" }, finding[STATUS] === 0 ? severityWord(finding[SEVERITY]) : "–"),
      make("td", { role: "cell", class: "how" }, statusWord(finding[STATUS])));
  }

  function flip(at) {
    const line = byId(`row-${at}`);
    const isOpen = !open.has(at);
    open[isOpen ? "add" : "delete"](at);
    line.classList.toggle("open", isOpen);
    line.querySelector(".toggle").setAttribute("aria-expanded", String(isOpen));
    if (isOpen) line.after(body(at));
    else byId(`b-${at}`).remove();
  }

  function body(at) {
    const finding = findings[at], rule = rules[finding[RULE]], resource = resources[finding[RESOURCE]];
    const id = idOf(finding);
    const accepted = acceptanceOf(finding);
    const pairs = make("dl", { class: "pairs" });
    const pair = (name, ...content) => pairs.append(make("dt", {}, name), make("dd", {}, ...content));
    pair("Resource", make("code", {}, plain(resource[ARN])));
    if (resource[TAGS]) pair("Tags", Object.entries(resource[TAGS]).map(([k, v]) => plain(`${k}=${v}`)).join(", "));
    pair("Rule", ruleLink(rule), ` · ${plain(rule.title)}`);
    if (finding[REASON]) {
      const permission = finding[PERMISSION];
      pair("Reason", plain(data.reasons[finding[REASON]] ?? finding[REASON]) + (permission ? ": " : ""),
        permission ? make("code", {}, plain(permission)) : null);
    }
    if (finding[STATE]) {
      pair("Compared", finding[STATE] === "new" ? "New since the previous report" : "As in the previous report");
    }
    if (accepted) {
      const [reason, by, until, ticket, expired] = accepted;
      pair(expired ? "Was accepted" : "Accepted",
        plain(`${expired ? "until" : "until the end of"} ${until} by ${by}${ticket ? ` (${ticket})` : ""}: ${reason}`) +
        (expired ? " It has expired, so the finding counts again." : ""));
    }
    const controls = Object.entries(rule.controls).map(([name, ids]) => `${name} ${ids.join(", ")}`).join("; ");
    if (controls) pair("Controls", plain(controls));
    pair("Finding", make("a", { href: `#f-${id.slice(0, 16)}` }, make("code", {}, id.slice(0, 16))));
    const evidence = evidenceOf(finding);
    const sheets = [];
    if (Object.keys(evidence).length) {
      sheets.push(["Evidence", pairsTable(evidence)], ["JSON", code(plainLines(JSON.stringify(evidence, null, 2)))]);
    }
    const about = byId(`r-${rule.id}`);
    if (finding[STATUS] === 0 && about) {
      if (rule.cli) sheets.push(["AWS CLI", code(plainLines(command(finding)))]);
      for (const one of about.querySelectorAll(".fold")) {
        const title = one.querySelector("summary").textContent;
        if (title !== "AWS CLI") sheets.push([title, code(one.querySelector("pre").textContent)]);
      }
    }
    const help = finding[STATUS] === 0 ? about?.querySelector(".remedy") : null;
    return make("tr", { role: "row", id: `b-${at}`, class: "opened" },
      make("td", { role: "cell", colspan: "4" }, make("div", { class: "body" },
        pairs,
        help ? make("div", {}, make("p", { class: "label" }, "Remediation"), make("p", {}, help.textContent)) : null,
        sheets.length ? tabs(at, sheets) : null)));
  }

  function pairsTable(evidence) {
    return make("table", {}, make("tbody", {}, ...Object.entries(evidence).map(([name, value]) =>
      make("tr", {}, make("th", { scope: "row" }, plain(name)), make("td", {}, make("pre", {}, pretty(value)))))));
  }

  function code(text) {
    const pre = make("pre", { class: "command", tabindex: "0" }, text);
    const button = make("button", { type: "button", class: "copy", onclick: () => copy(text, button) }, "Copy");
    return make("div", { class: "code" }, button, pre);
  }

  function tabs(at, sheets) {
    const buttons = [], panels = [];
    const choose = (chosen, focus) => {
      buttons.forEach((button, i) => {
        button.setAttribute("aria-selected", String(i === chosen));
        button.tabIndex = i === chosen ? 0 : -1;
        panels[i].hidden = i !== chosen;
      });
      if (focus) buttons[chosen].focus();
    };
    sheets.forEach(([title, content], i) => {
      buttons.push(make("button", {
        type: "button", role: "tab", id: `t-${at}-${i}`, "aria-controls": `p-${at}-${i}`, onclick: () => choose(i),
        onkeydown: (event) => {
          const to = { ArrowRight: i + 1, ArrowLeft: i - 1, Home: 0, End: sheets.length - 1 }[event.key];
          if (to === undefined) return;
          event.preventDefault();
          choose((to + sheets.length) % sheets.length, true);
        },
      }, title));
      panels.push(make("div", { role: "tabpanel", id: `p-${at}-${i}`, "aria-labelledby": `t-${at}-${i}` }, content));
    });
    const list = make("div", { class: "tabs", role: "tablist", "aria-label": "Evidence and remediation" }, ...buttons);
    choose(0);
    return make("div", {}, list, ...panels);
  }

  async function copy(text, button) {
    let done = true;
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // Without a secure context there is no clipboard to write to: select the text and use the older way.
      const area = make("textarea", { "aria-label": "Text to copy" });
      area.value = text;
      button.after(area);
      area.select();
      done = document.execCommand("copy");
      area.remove();
      button.focus();
    }
    say(done ? "Copied." : "Could not be copied.");
    button.textContent = done ? "Copied" : "Not copied";
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  }

  const say = (text) => { byId("said").textContent = text; };

  function render(size = PAGE) {
    const pages = Math.max(1, Math.ceil(shown.length / size));
    const page = Math.min(Math.max(1, Number.parseInt(state.page, 10) || 1), pages);
    state.page = String(page);
    const here = shown.slice((page - 1) * size, page * size);
    for (const part of [...table.tBodies]) part.remove();
    let part = null, last;
    const counts = new Map();
    if (state.group) {
      for (const at of shown) {
        const key = GROUPS[state.group](findings[at]);
        counts.set(key, (counts.get(key) ?? 0) + 1);
      }
    }
    for (const at of here) {
      const key = state.group ? GROUPS[state.group](findings[at]) : "";
      if (part === null || key !== last) {
        part = make("tbody", { role: "rowgroup", class: state.group ? "part" : "" });
        table.append(part);
        last = key;
        if (state.group) {
          const [title, more] = groupTitle(findings[at]);
          part.append(make("tr", { role: "row" }, make("th", { role: "rowheader", scope: "rowgroup", colspan: "4" },
            title, " ", more ? make("span", { class: "muted" }, more, " · ") : "",
            make("span", { class: "muted n" }, plural(counts.get(key), "finding")))));
        }
      }
      part.append(row(at));
      if (open.has(at)) part.append(body(at));
    }
    if (!here.length) {
      table.append(make("tbody", { role: "rowgroup" }, make("tr", { role: "row" },
        make("td", { role: "cell", colspan: "4", class: "muted" }, findings.length ? "Nothing matches these filters." : "No findings."))));
    }
    byId("pager").hidden = pages === 1;
    byId("page").textContent = `Page ${number(page)} of ${number(pages)}`;
    byId("previous").disabled = page === 1;
    byId("next").disabled = page === pages;
    const from = shown.length ? (page - 1) * size + 1 : 0;
    byId("count").textContent = `${number(shown.length)} of ${plural(data.total, "finding")}` +
      (pages > 1 ? `, ${number(from)} to ${number(from + here.length - 1)} shown` : "");
  }

  function apply() {
    shown = grouped(matching());
    if (focused >= 0) {
      const at = shown.indexOf(focused);
      if (at >= 0) state.page = String(Math.floor(at / PAGE) + 1);
    }
    for (const head of table.tHead.querySelectorAll("[data-sort]")) {
      const name = head.dataset.sort;
      const how = state.sort === name ? "ascending" : state.sort === `-${name}` ? "descending" : null;
      if (how) head.setAttribute("aria-sort", how);
      else head.removeAttribute("aria-sort");
    }
    render();
  }

  // The state, the form and the address

  function fill() {
    for (const field of form.elements) {
      if (!field.name) continue;
      if (field.type === "checkbox") field.checked = set(state[field.name]).has(field.value);
      else field.value = state[field.name];
    }
    const controls = byId("control");
    const known = [...new Set(rules.flatMap((rule) => rule.controls[state.framework] ?? []))];
    const order = new Intl.Collator("en", { numeric: true });
    controls.replaceChildren(make("option", { value: "" }, "All"),
      ...known.sort(order.compare).map((one) => make("option", { value: one }, plain(one))));
    controls.disabled = !state.framework;
    if (!known.includes(state.control)) state.control = "";
    controls.value = state.control;
  }

  function take() {
    for (const name of ["status", "severity"]) {
      state[name] = [...form.querySelectorAll(`[name=${name}]:checked`)].map((one) => one.value).join(",");
    }
    for (const name of ["q", "rule", "account", "region", "framework", "control", "practice", "only", "group"]) {
      state[name] = form.elements[name].value;
    }
    state.page = "1";
    focused = -1;
    fill();
  }

  const differing = (one) => Object.entries(one).filter(([name, value]) => value !== DEFAULTS[name]);

  function toAddress() {
    const query = new URLSearchParams(differing(state)).toString();
    try {
      history.replaceState(null, "", query ? `#find?${query}` : "#find");
    } catch {
      // Some browsers allow only so many changes of the address a minute: the view counts, not its address.
    }
  }

  function fromAddress() {
    const { hash } = location;
    if (hash.startsWith("#f-")) return toFinding(hash.slice(3));
    if (!hash.startsWith("#find")) return false;
    const given = new URLSearchParams(hash.slice(6));
    state = { ...DEFAULTS };
    for (const [name, value] of given) if (name in DEFAULTS) state[name] = value;
    if (!(state.sort.replace("-", "") in KEYS)) state.sort = DEFAULTS.sort;
    if (!(state.group in GROUPS)) state.group = "";
    if (!["", "new", "open", "accepted", "expired"].includes(state.only)) state.only = "";
    focused = -1;
    open.clear();
    fill();
    apply();
    return true;
  }

  function toFinding(start) {
    const at = /^[0-9a-f]{16}$/.test(start) ? findings.findIndex((one) => idOf(one).startsWith(start)) : -1;
    if (at < 0) {
      apply();
      say("The finding that the address names is not in this report.");
      byId("missing").hidden = false;
      explorer.scrollIntoView();
      return true;
    }
    byId("missing").hidden = true;
    state = { ...DEFAULTS, status: set(DEFAULTS.status).has(STATUSES[findings[at][STATUS]]) ? DEFAULTS.status : "" };
    focused = at;
    open.clear();
    open.add(at);
    fill();
    apply();
    const line = byId(`row-${at}`);
    line.classList.add("target");
    line.querySelector(".toggle").focus({ preventScroll: true });
    line.scrollIntoView({ block: "start" });
    return true;
  }

  // Export

  const COLUMNS = ["finding_id", "rule_id", "rule_title", "severity", "status", "state", "accepted_until", "account_id",
    "account_name", "region", "resource_type", "resource_id", "resource_name", "sub_key", "message", "reason",
    "missing_permission", "evidence"];

  function record(finding) {
    const rule = rules[finding[RULE]], resource = resources[finding[RESOURCE]], accepted = acceptanceOf(finding);
    const region = regionOf(finding);
    return [idOf(finding), rule.id, rule.title, SEVERITIES[finding[SEVERITY]], STATUSES[finding[STATUS]],
      finding[STATE] ?? "", accepted ? accepted[2] : "", ...accountOf(finding), region === "global" ? "" : region,
      data.kinds[resource[KIND]][0], resource[ARN], resource[NAME], finding[SUB_KEY] ?? "", texts[finding[TEXT]],
      finding[REASON] ?? "", finding[PERMISSION] ?? "", JSON.stringify(evidenceOf(finding))];
  }

  /** A cell that no spreadsheet takes for a formula, with control characters as escapes. */
  function cell(value) {
    const text = plain(value);
    return `"${(/^\s*[=+\-@\uFF1D\uFF0B\uFF0D\uFF20]/.test(text) ? `'${text}` : text).replaceAll('"', '""')}"`;
  }

  const csv = () => [COLUMNS, ...shown.map((at) => record(findings[at]))]
    .map((line) => line.map(cell).join(",") + "\r\n").join("");

  const json = () => JSON.stringify(shown.map((at) => {
    const finding = findings[at], accepted = acceptanceOf(finding);
    return {
      id: idOf(finding), rule: rules[finding[RULE]].id, resource: resources[finding[RESOURCE]][ARN],
      status: STATUSES[finding[STATUS]], severity: SEVERITIES[finding[SEVERITY]], message: texts[finding[TEXT]],
      evidence: evidenceOf(finding), subKey: finding[SUB_KEY] ?? null, reason: finding[REASON] ?? null,
      missingPermission: finding[PERMISSION] ?? null, state: finding[STATE] ?? null,
      acceptance: accepted
        ? { reason: accepted[0], by: accepted[1], until: accepted[2], ticket: accepted[3], expired: accepted[4] } : null,
    };
  }), null, 1) + "\n";

  function save(name, type, text) {
    const link = make("a", { href: URL.createObjectURL(new Blob([text], { type })), download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    say(`${plural(shown.length, "finding")} written to ${name}.`);
  }

  // Start

  function options(name, pairs) {
    byId(name).append(...pairs.map(([value, text]) => make("option", { value }, plain(text))));
  }

  const collator = new Intl.Collator("en", { numeric: true });
  options("rule", rules.map((rule) => [rule.id, rule.id]).sort(([a], [b]) => collator.compare(a, b)));
  options("account", data.accounts.map(([id, name]) => [id, name ? `${name} ${id}` : id])
    .sort(([, a], [, b]) => collator.compare(a, b)));
  options("region", data.regions.map((one) => [one, one]).sort(([a], [b]) => collator.compare(a, b)));
  options("framework", [...new Set(rules.flatMap((rule) => Object.keys(rule.controls)))].map((one) => [one, one]).sort());
  options("practice", [...new Set(rules.flatMap((rule) => rule.practices))].map((one) => [one, one])
    .sort(([a], [b]) => collator.compare(a, b)));

  let typing = 0;
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", (event) => {
    const change = () => { take(); apply(); toAddress(); };
    clearTimeout(typing);
    if (event.target.name === "q" && findings.length > 20000) typing = setTimeout(change, 150);
    else change();
  });
  byId("reset").addEventListener("click", () => {
    state = { ...DEFAULTS };
    focused = -1;
    open.clear();
    fill();
    apply();
    toAddress();
  });
  for (const head of table.tHead.querySelectorAll("[data-sort]")) {
    head.querySelector("button").addEventListener("click", () => {
      const name = head.dataset.sort;
      state.sort = state.sort === name ? `-${name}` : name;
      state.page = "1";
      focused = -1;
      apply();
      toAddress();
    });
  }
  for (const [id, step] of [["previous", -1], ["next", 1]]) {
    byId(id).addEventListener("click", () => {
      state.page = String(Number(state.page) + step);
      focused = -1;
      render();
      toAddress();
      byId("findings").scrollIntoView();
      // A button that was switched off loses the focus: give it to the other one.
      if (byId(id).disabled) byId(step < 0 ? "next" : "previous").focus();
    });
  }
  byId("to-csv").addEventListener("click", () => save("findings.csv", "text/csv;charset=utf-8", csv()));
  byId("to-json").addEventListener("click", () => save("findings.json", "application/json", json()));

  // Numbers in the rest of the page lead to their findings.
  for (const link of document.querySelectorAll("a[data-find]")) link.href = `#find?${link.dataset.find}`;
  for (const hidden of document.querySelectorAll("[data-with-script]")) hidden.hidden = false;

  window.addEventListener("hashchange", () => {
    if (fromAddress() && location.hash.startsWith("#find")) {
      byId("findings").scrollIntoView();
      byId("findings-title").focus({ preventScroll: true });
    }
  });
  window.addEventListener("beforeprint", () => {
    state.page = "1";
    render(ON_PAPER);
  });
  window.addEventListener("afterprint", () => render());

  byId("static").remove();
  explorer.hidden = false;
  fill();
  if (!fromAddress()) apply();
  // The browser goes to the fragment by itself once the page is there, and takes the focus with it.
  if (document.readyState !== "complete" && location.hash) {
    window.addEventListener("load", () => setTimeout(fromAddress));
  }
  document.documentElement.dataset.ready = "";
})();
