// Drives docs/examples/upload.html in a real Chromium, as its users would. Reads a JSON object from standard input:
//
//   page        the page's URL
//   foreign     the same page's URL at an origin that is not configured
//   steps       one after the other, { page: "own" | "foreign", … } with
//                 upload, file   upload this file to this URL, or
//                 download       read this URL back, or
//                 fetch, method  ask for this URL without the page's help, or
//                 form, file     send the form of the page at this URL, which has no script
//                 screenshot     and then take a picture of the page, to this file
//
// and prints for each step what the page says, the positions that its progress bar took and how wide its picture is; for
// a fetch what a script may read of the answer; for a form the answer's status, and where its user is then. CHROMIUM
// names the browser, by default Debian's.
const { chromium } = require("playwright-core");

// No update, no sync, no telemetry: the browser speaks to the test alone.
const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

async function open(browser, url) {
  const page = await browser.newPage({ viewport: { width: 800, height: 720 } });
  page.setDefaultTimeout(60_000);
  await page.goto(url);
  // How often the page moved its progress bar, which the bar alone does not tell.
  await page.evaluate(() => {
    window.moves = [];
    const bar = document.getElementById("progress");
    const { set, get } = Object.getOwnPropertyDescriptor(HTMLProgressElement.prototype, "value");
    Object.defineProperty(bar, "value", { get, set(value) { window.moves.push(value); set.call(this, value); } });
  });
  return page;
}

// What a script of the page may read of an answer; nothing but an error where it may not.
function ask(page, url, method) {
  return page.evaluate(async ([url, method]) => {
    try {
      const answer = await fetch(url, { method });
      return { status: answer.status, headers: Object.fromEntries(answer.headers), text: await answer.text() };
    } catch (error) {
      return { error: String(error) };
    }
  }, [url, method]);
}

async function send(browser, { form, file }) {
  const page = await browser.newPage();
  page.setDefaultTimeout(60_000);
  await page.goto(form);
  await page.setInputFiles("input[type=file]", file);
  const answered = page.waitForResponse((answer) => answer.request().method() === "POST");
  await page.click("button");
  const status = (await answered).status();
  // An answer without content leaves the page as it is.
  if (status !== 204) await page.waitForURL((url) => url.href !== form);
  return { status, at: page.url(), text: await page.evaluate(() => document.documentElement.textContent) };
}

async function step(page, { upload, download, file, screenshot, fetch, method = "GET" }) {
  if (fetch) return ask(page, fetch, method);
  await page.evaluate(() => { window.moves = []; document.getElementById("said").textContent = ""; });
  await page.fill("#upload-url", upload ?? "");
  await page.fill("#download-url", download ?? "");
  if (file) await page.setInputFiles("#file", file);
  await page.click(upload ? "#upload" : "#download");
  const settled = () => !["", "Uploading…"].includes(document.getElementById("said").textContent);
  await page.waitForFunction(settled);
  const preview = page.locator("#preview");
  if (await preview.isVisible()) await preview.evaluate((picture) => picture.decode());
  if (screenshot) await page.screenshot({ path: screenshot });
  return page.evaluate(() => ({
    said: document.getElementById("said").textContent,
    refused: document.getElementById("said").className === "refused",
    moves: window.moves,
    picture: document.getElementById("preview").naturalWidth,
  }));
}

async function main() {
  let input = "";
  for await (const piece of process.stdin) input += piece;
  const { page: own, foreign, steps } = JSON.parse(input);
  const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
  const browser = await chromium.launch({ executablePath, headless: true, args: FLAGS });
  try {
    const pages = { own: await open(browser, own), foreign: await open(browser, foreign) };
    const results = [];
    for (const each of steps) {
      results.push(await (each.form ? send(browser, each) : step(pages[each.page], each)));
    }
    console.log(JSON.stringify(results));
  } finally {
    await browser.close();
  }
}

main().catch((error) => { console.error(error); process.exit(1); });
