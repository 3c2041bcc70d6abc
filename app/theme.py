"""How the page looks: theme and style sheet, in light and dark. The moods' colours are the word cloud's.

Fonts are the visitor's own: the page loads nothing from anywhere else.
"""

import gradio as gr

from app.cloud import COLOURS

FONTS = ("Pretendard", "Noto Sans KR", "Malgun Gothic", "Apple SD Gothic Neo", "Nanum Gothic")


def theme() -> gr.themes.Base:
    """Monochrome on slate: the one built-in theme without a contrast fault in light mode (axe-core).

    The interface itself has no hue, so that blue and vermilion mean moods and nothing else.
    """
    fonts: list[gr.themes.Font | str] = [*(gr.themes.Font(name) for name in FONTS), "sans-serif"]
    slate = gr.themes.colors.slate
    return gr.themes.Monochrome(
        primary_hue=slate,
        secondary_hue=slate,
        neutral_hue=slate,
        radius_size=gr.themes.sizes.radius_md,
        font=fonts,
        font_mono=fonts,  # tables are set in it; Korean has no use for a typewriter
    ).set(
        body_background_fill="*neutral_50",
        block_shadow="none",
        link_text_color_dark="*neutral_200",
        link_text_color_hover_dark="*neutral_50",
        link_text_color_visited_dark="*neutral_300",
        layout_gap="*spacing_lg",
        stat_background_fill="*neutral_500",
        stat_background_fill_dark="*neutral_400",
    )


# Screen readers choose their voice by the page's language.
HEAD = '<script>document.documentElement.lang = "ko";</script>'

CSS = (
    """
.gradio-container { width: 100% !important; max-width: min(1240px, 100%) !important; margin: 0 auto !important; }
.gradio-container > .main, .gradio-container .contain { min-width: 0 !important; }
.gradio-container h1 { font-size: 28px !important; margin: 0 !important; }
.gradio-container h1 + p { margin: 4px 0 0 !important; }
.tab-container button.selected { color: var(--body-text-color) !important; font-weight: 700; }
footer .divider, footer .show-api + * { display: none; }
.mp-html, .mp-html .html-container { padding: 0 !important; border: 0 !important; }
.mp-html {
  --pos: %POS%; --neu: %NEU%; --neg: %NEG%; --line: #dbe1ea; --soft: #eef1f6; --card: #fff;
  --ink: #1e293b; --faint: #526075; --accent: #334155; color: var(--ink); font-size: 15px; line-height: 1.5;
}
.dark .mp-html {
  --line: #38445a; --soft: #2a364b; --card: #1a2436; --ink: #e8edf5; --faint: #a9b6c9; --accent: #cbd5e1;
}
.mp-html h2, .mp-html p, .mp-html ul { margin: 0; padding: 0; }
.mp-html ul { list-style: none; }
.mp-cards { display: grid; grid-template-columns: repeat(12, 1fr); grid-auto-flow: dense;
  gap: 12px; }
.mp-card, .mp-panel { background: var(--card); border: 1px solid var(--line); border-radius: 10px; min-width: 0; }
.mp-card { grid-column: span 3; padding: 14px 16px; }
.mp-card.mp-wide { grid-column: span 6; }
.mp-card h2 { margin-bottom: 4px; font-size: 13px; font-weight: 600; color: var(--faint); }
.mp-card strong { display: block; font-size: 24px; font-weight: 700; line-height: 1.25; }
.mp-card p { margin-top: 4px; font-size: 13px; color: var(--faint); overflow-wrap: anywhere; }
.mp-thirds { display: grid; grid-template-columns: repeat(3, 1fr); gap: 10px; }
.mp-thirds li { border-left: 5px solid var(--line); padding-left: 10px; }
.mp-thirds .mp-pos { border-color: var(--pos); } .mp-thirds .mp-neu { border-color: var(--neu); }
.mp-thirds .mp-neg { border-color: var(--neg); }
.mp-thirds span, .mp-thirds i { display: block; font-size: 13px; font-style: normal; color: var(--faint); }
.mp-thirds b { font-size: 24px; line-height: 1.25; }
.mp-progress { display: grid; gap: 6px; font-size: 14px; }
.mp-progress span { display: block; font-variant-numeric: tabular-nums; line-height: 1.35; }
.mp-progress progress { appearance: none; display: block; width: 100%; height: 8px; border: 0; border-radius: 4px;
  overflow: hidden; background: var(--soft); }
.mp-progress progress::-webkit-progress-bar { background: var(--soft); }
.mp-progress progress::-webkit-progress-value { background: var(--accent); }
.mp-progress progress::-moz-progress-bar { background: var(--accent); }
.mp-html .mp-notice { margin-top: 12px; padding: 12px 16px; border-radius: 10px; background: var(--soft);
  border-left: 5px solid var(--accent); }
.mp-html .mp-empty { padding: 28px 16px; text-align: center; color: var(--faint); }
.mp-panel { padding: 16px; }
.mp-panel h2 { margin-bottom: 6px; font-size: 17px; font-weight: 700; }
.mp-legend { display: flex; gap: 16px; font-size: 13px; color: var(--faint); }
.mp-html .mp-legend { margin-bottom: 8px; }
.mp-legend li { display: flex; align-items: center; gap: 6px; }
.mp-swatch { width: 12px; height: 12px; border-radius: 3px; }
.mp-swatch.mp-pos, .mp-bar .mp-pos { background: var(--pos); }
.mp-swatch.mp-neu, .mp-bar .mp-neu { background: var(--neu); }
.mp-swatch.mp-neg, .mp-bar .mp-neg { background: var(--neg); }
.mp-scroll { height: 330px; overflow-y: auto; padding-right: 6px; }
.mp-bars { width: 100%; border-collapse: collapse; table-layout: fixed; font-size: 14px; }
.mp-bars .mp-name { width: 148px; } .mp-bars .mp-posts { width: 50px; }
.mp-bars thead th { padding: 0 0 4px; font-size: 12px; font-weight: 400; color: var(--faint); text-align: left; }
.mp-bars thead th:last-child { text-align: right; }
.mp-bars tbody th { padding: 5px 8px 5px 0; text-align: left; font-weight: 500; line-height: 1.3;
  overflow-wrap: anywhere; }
.mp-bars tbody td { padding: 5px 0; }
.mp-bars td.mp-count { text-align: right; font-variant-numeric: tabular-nums; color: var(--faint); }
.mp-bar { display: flex; gap: 1px; height: 26px; border-radius: 6px; overflow: hidden; background: var(--soft); }
.mp-bar > span { color: #fff; font-size: 12px; line-height: 26px; text-align: center; overflow: hidden;
  font-variant-numeric: tabular-nums; }
.mp-bar.mp-none { justify-content: center; font-size: 12px; line-height: 26px; color: var(--faint); }
.mp-few th { color: var(--faint); }
.mp-few .mp-bar { height: 14px; }
.mp-few .mp-bar > .mp-pos { background: #7f97ab; } .mp-few .mp-bar > .mp-neu { background: #a3a9b3; }
.mp-few .mp-bar > .mp-neg { background: #b09380; }
.mp-few .mp-bar > span { font-size: 0; }
.mp-few .mp-bar.mp-none { line-height: 14px; }
.mp-tag { display: inline-block; margin-left: 6px; padding: 0 6px; border-radius: 999px; background: var(--soft);
  font-size: 11px; font-weight: 400; white-space: nowrap; }
.mp-chosen th { font-weight: 800; }
.mp-chosen th::before { content: "▶ "; font-size: 11px; }
.mp-cloud { display: block; width: 100%; height: auto; border: 1px solid var(--line); border-radius: 10px;
  background: #fff; }
.dark .token.highlighted { color: #fff !important; }
/* Gradio's toasts are headed "Info" and "Warning" in every language; the icon and the words say it. */
.toast-title { display: none !important; }
@media (max-width: 900px) { .mp-card { grid-column: span 6; } .mp-card.mp-wide { grid-column: span 12; } }
@media (max-width: 520px) {
  .gradio-container > .main { padding: 12px !important; }
  .mp-cards { gap: 8px; } .mp-card, .mp-panel { padding: 12px; }
  .mp-card strong, .mp-thirds b { font-size: 20px; }
  .mp-bars .mp-name { width: 108px; } .mp-bars .mp-posts { width: 38px; } .mp-bars { font-size: 13px; }
  .mp-scroll { height: auto; max-height: 420px; }
  .mp-tag { margin-left: 0; }
  .mp-newest { overflow-x: auto !important; } .mp-newest > div { min-width: 640px !important; }
}
""".replace("%POS%", COLOURS["긍정"])
    .replace("%NEU%", COLOURS["중립"])
    .replace("%NEG%", COLOURS["부정"])
)
