"""Screens, the browser's arguments, and what is measured of a page there."""

from __future__ import annotations

from playwright.async_api import Browser, Page

PHONE = {"width": 390, "height": 844}
DESK = {"width": 1280, "height": 900}
CHROMIUM = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
MEASURE_CONTRAST = """() => {
  const luminance = rgb => { const [r, g, b] = rgb.map(v => v / 255).map(
    v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const parse = text => (text.match(/[\\d.]+/g) || []).map(Number);
  const ground = element => { for (let at = element; at; at = at.parentElement) {
    const c = parse(getComputedStyle(at).backgroundColor); if (c.length === 3 || c[3] === 1) return c.slice(0, 3); }
    return [255, 255, 255]; };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT); const poor = [];
  while (walker.nextNode()) { const text = walker.currentNode.textContent.trim();
    const element = walker.currentNode.parentElement;
    if (!text || !element.offsetParent || ['SCRIPT', 'STYLE', 'NOSCRIPT'].includes(element.tagName)) continue;
    const a = luminance(parse(getComputedStyle(element).color).slice(0, 3)), b = luminance(ground(element));
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) poor.push(`${text.slice(0, 30)}: ${ratio.toFixed(2)}`); }
  return poor; }"""


async def opened(browser: Browser, address: str, viewport: dict[str, int]) -> tuple[Page, list[str]]:
    """A page, and what the browser complains of there."""
    complaints: list[str] = []
    page = await browser.new_page(viewport=viewport)  # type: ignore[arg-type] # a plain mapping
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    await page.goto(address)
    return page, complaints
