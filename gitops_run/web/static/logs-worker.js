// Filters log lines. An expression may take forever, so the page ends this worker at its deadline.
let test = () => true;
let lines = [];
const LEVELS = ["debug", "info", "warning", "error"];
const WORDS = [
  ["error", /^[EF]\d{4} |\b(error|err|fatal|panic|exception|traceback|critical)\b/i],
  ["warning", /^W\d{4} |\b(warn|warning)\b/i],
  ["debug", /\b(debug|trace)\b/i],
];

const level = (text) => WORDS.find(([, word]) => word.test(text))?.[0] ?? "info";

onmessage = ({ data: { number, filter, add, reset } }) => {
  let problem = "";
  if (reset) lines = reset;
  if (filter) {
    try {
      test = made(filter);
    } catch (error) {
      problem = error.message;
      test = () => true;
    }
  }
  const added = (add ?? lines).map((line) => ({ ...line, level: line.level ?? level(line.text) }));
  if (add) lines = [...lines, ...added].slice(-5000);
  postMessage({ number, problem, isWhole: !add, lines: added.filter(test) });
};

function made({ pod, level: least, text, isRegex }) {
  const expression = isRegex && text ? new RegExp(text, "i") : null;
  const words = text.toLowerCase();
  return (line) =>
    (!pod || line.pod === pod) &&
    (!least || LEVELS.indexOf(line.level) >= LEVELS.indexOf(least)) &&
    (expression ? expression.test(line.text) : line.text.toLowerCase().includes(words));
}

postMessage({ isReady: true });
