//! The recipe editor: CodeMirror 6 with YAML colours, completion and problems that Rust decides.
//!
//! It knows nothing of recipes. What to offer and what is wrong comes in through callbacks and `setDiagnostics`;
//! colours come from the page's CSS variables, so that both themes need no second editor.
//! Built by `npm run build:editor` into one module that the page imports when the YAML tab first opens.

import { acceptCompletion, autocompletion, closeBrackets, completionKeymap } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { indentUnit, StreamLanguage, syntaxHighlighting } from "@codemirror/language";
import { yaml } from "@codemirror/legacy-modes/mode/yaml";
import { lintGutter, nextDiagnostic, setDiagnostics as showDiagnostics } from "@codemirror/lint";
import { Annotation, EditorSelection, EditorState } from "@codemirror/state";
import {
  EditorView,
  highlightActiveLine,
  highlightActiveLineGutter,
  keymap,
  lineNumbers,
} from "@codemirror/view";
import { classHighlighter, tags } from "@lezer/highlight";

/** YAML's colours, from a tokenizer: the grammar that CodeMirror has too is larger, and the recipe is read by Rust. */
const colours = StreamLanguage.define({ ...yaml, tokenTable: { atom: tags.propertyName } });

/** Marks changes that came from the page, so that they are not reported back to it. */
const fromPage = Annotation.define();

/** Offset in the document of a 1-based line and a 1-based column that counts characters, not UTF-16 units. */
function offsetOf(doc, line, column) {
  const at = doc.line(Math.min(Math.max(line, 1), doc.lines));
  let offset = 0;
  let characters = 1;
  for (const character of at.text) {
    if (characters >= column) break;
    offset += character.length;
    characters += 1;
  }
  return at.from + offset;
}

/** The inverse of `offsetOf`. */
function placeOf(doc, offset) {
  const at = doc.lineAt(offset);
  const before = at.text.slice(0, offset - at.from);
  return { line: at.number, column: [...before].length + 1 };
}

/** Completions from `complete(text, line, column)`: an array of `{ label, detail, insert, kind }`. */
function completionSource(complete) {
  return (context) => {
    const word = context.matchBefore(/[\w.\-/]*/);
    if (!context.explicit && (!word || word.from === word.to)) return null;
    const { doc } = context.state;
    const { line, column } = placeOf(doc, context.pos);
    const offers = complete(doc.toString(), line, column);
    if (!offers || offers.length === 0) return null;
    return {
      from: word ? word.from : context.pos,
      options: offers.map(({ label, detail, insert, kind }) => ({ label, detail, apply: insert, type: kind })),
      validFor: /^[\w.\-/]*$/,
    };
  };
}

/** Whether a change is a text from elsewhere: pasted, dropped, or more lines at once than one types. Undoing is typing. */
function isGiven(update) {
  if (update.transactions.some((each) => each.isUserEvent("undo") || each.isUserEvent("redo"))) return false;
  let given = update.transactions.some((each) => each.isUserEvent("input.paste") || each.isUserEvent("input.drop"));
  update.changes.iterChanges((fromA, toA, fromB, toB, inserted) => {
    given ||= inserted.lines > 2;
  });
  return given;
}

/**
 * Puts an editor into `parent`.
 *
 * `onChange(text, given)` is called for what the person types or (`given`) pastes, never for `setDoc`; `complete` is described above;
 * `onFix(index)` when the fix of the index-th diagnostic is chosen in place.
 */
export function create(parent, doc, label, onChange, complete, onFix) {
  const view = new EditorView({
    parent,
    state: EditorState.create({
      doc,
      extensions: [
        lineNumbers(),
        lintGutter(),
        highlightActiveLine(),
        highlightActiveLineGutter(),
        history(),
        indentUnit.of("  "),
        closeBrackets(),
        colours,
        syntaxHighlighting(classHighlighter),
        autocompletion({ override: [completionSource(complete)], icons: false }),
        // Tab is left to the browser, so that the keyboard can leave the editor; it only takes an open completion.
        keymap.of([
          { key: "Tab", run: acceptCompletion },
          ...completionKeymap,
          ...historyKeymap,
          // Not the lint package's own keys: the page has a list of problems already, and needs no second.
          { key: "F8", run: nextDiagnostic },
          ...defaultKeymap,
        ]),
        EditorView.lineWrapping,
        EditorView.contentAttributes.of({ "aria-label": label, spellcheck: "false", autocapitalize: "off" }),
        EditorView.updateListener.of((update) => {
          const typed = update.docChanged && !update.transactions.some((each) => each.annotation(fromPage));
          if (typed) onChange(update.state.doc.toString(), isGiven(update));
        }),
      ],
    }),
  });

  return {
    /** Replaces the text where it differs, keeping the caret's place where the text around it is unchanged. */
    setDoc(text) {
      const old = view.state.doc.toString();
      if (old === text) return;
      let start = 0;
      const shorter = Math.min(old.length, text.length);
      while (start < shorter && old[start] === text[start]) start += 1;
      let tail = 0;
      while (tail < shorter - start && old[old.length - 1 - tail] === text[text.length - 1 - tail]) tail += 1;
      view.dispatch({
        changes: { from: start, to: old.length - tail, insert: text.slice(start, text.length - tail) },
        annotations: fromPage.of(true),
      });
    },

    /** Marks problems: `{ line, column, endLine, endColumn, severity, message, fix }`, `fix` a label or nothing. */
    setDiagnostics(problems) {
      const { doc: text } = view.state;
      const diagnostics = problems.map((problem, index) => {
        const from = offsetOf(text, problem.line, problem.column);
        const to = Math.max(from, offsetOf(text, problem.endLine, problem.endColumn));
        const actions = problem.fix ? [{ name: problem.fix, apply: () => onFix(index) }] : [];
        return { from, to, severity: problem.severity, message: problem.message, actions };
      });
      diagnostics.sort((a, b) => a.from - b.from);
      view.dispatch(showDiagnostics(view.state, diagnostics));
    },

    /** Puts the caret at a place, shows it, and takes the keyboard. */
    goTo(line, column) {
      const at = offsetOf(view.state.doc, line, column);
      view.dispatch({
        selection: EditorSelection.cursor(at),
        effects: EditorView.scrollIntoView(at, { y: "center" }),
      });
      view.focus();
    },

    destroy() {
      view.destroy();
    },
  };
}
