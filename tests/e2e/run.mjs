// Runs one scenario in a browser of its own: `node run.mjs NAME`; the URLs come from the environment.

import { chromium } from "playwright-core";

const [name] = process.argv.slice(2);
const { CHROMIUM, SCREENSHOT } = process.env;
const { default: play } = await import(`./scenarios/${name}.mjs`);

const browser = await chromium.launch({
  executablePath: CHROMIUM, // uses a new profile each time
  args: [
    ...(process.getuid() === 0 ? ["--no-sandbox"] : []),
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
  ],
});
const pages = [];

// Returns a page in a new browser context, which shares no cookie or storage with the others.
async function newPage() {
  const context = await browser.newContext();
  context.setDefaultTimeout(20_000);
  const page = await context.newPage();
  page.on("pageerror", (error) => {
    console.error(error);
    process.exitCode = 1;
  });
  pages.push(page);
  return page;
}

try {
  await play(newPage, process.env);
} catch (error) {
  process.exitCode = 1;
  console.error(error);
  for (const page of pages) console.error(page.url(), await page.innerText("main"));
} finally {
  if (SCREENSHOT) await pages.at(-1).screenshot({ path: SCREENSHOT });
  await browser.close();
}
