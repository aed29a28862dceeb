"""The light and dark theme of the page. No font or script is loaded from other sites."""

import gradio as gr

_FONTS = ["system-ui", "-apple-system", "Segoe UI", "sans-serif"]

THEME = gr.themes.Base(
    primary_hue=gr.themes.colors.teal,
    secondary_hue=gr.themes.colors.amber,
    neutral_hue=gr.themes.colors.slate,
    radius_size=gr.themes.sizes.radius_md,
    font=_FONTS,
    font_mono=["ui-monospace", "monospace"],
).set(
    body_background_fill="*neutral_50",
    body_background_fill_dark="*neutral_950",
    body_text_color_subdued="*neutral_600",
    body_text_color_subdued_dark="*neutral_300",
    input_placeholder_color="*neutral_500",
    input_placeholder_color_dark="*neutral_400",
    block_border_width="1px",
    block_shadow="none",
    button_primary_background_fill="*primary_700",
    button_primary_background_fill_hover="*primary_800",
    button_primary_background_fill_dark="*primary_700",
    button_primary_background_fill_hover_dark="*primary_800",
    button_primary_text_color="white",
    button_primary_text_color_dark="white",
)

CSS = """
/* A hidden overflow, the default of Gradio, would prevent tabs from staying in view. */
.gradio-container { max-width: 1080px !important; margin: 0 auto !important; overflow: clip !important; }
.headline h1 { margin: 0.2em 0 0; font-size: 1.7rem; letter-spacing: -0.02em; }
.headline p { margin: 0.3em 0 0; color: var(--body-text-color-subdued); max-width: 60em; }
.note { border-left: 4px solid var(--neutral-400); background: var(--background-fill-secondary);
  padding: 8px 12px; margin: 4px 0; border-radius: 4px; color: var(--body-text-color); overflow-wrap: anywhere; }
.note.good { border-color: #3a9d6a; } .note.warning { border-color: #d9922e; } .note.problem { border-color: #d0494a; }
/* Remarks are aligned with the fields above and below them. */
.html-container { padding: 0 !important; }
.label-wrap > span:first-child { text-align: left; }
/* Later steps are grey, but readable. */
#steps > .tab-wrapper button { font-weight: 600; }
.tab-wrapper button.selected { color: var(--primary-700) !important; }
.dark .tab-wrapper button.selected { color: var(--primary-400) !important; }
#steps > .tab-wrapper button:disabled { color: var(--body-text-color-subdued) !important; opacity: 1 !important;
  font-weight: 400; }
/* Errors are shown in a message above. An overlay on the form would prevent people from fixing them. */
[data-testid="status-tracker"]:has(.error) { display: none !important; }
footer > .divider:last-of-type { display: none; }
table.facts { border-collapse: collapse; width: 100%; margin: 0; }
table.facts, table.facts tr, table.facts th, table.facts td, .preview table, .preview th, .preview td
  { border: none !important; background: none; }
table.facts th { text-align: left; font-weight: 600; padding: 4px 16px 4px 0; vertical-align: top; width: 7em; }
table.facts td { padding: 4px 0; overflow-wrap: anywhere; }
.preview { overflow-x: auto; border: 1px solid var(--border-color-primary); border-radius: 6px; }
.preview table { border-collapse: collapse; width: 100%; }
.preview th, .preview td { text-align: left; vertical-align: top; padding: 6px 12px; overflow-wrap: anywhere; }
.preview th { background: var(--background-fill-secondary); font-weight: 600; white-space: nowrap; }
.preview tr { border: none !important; }
.preview tbody td { border-top: 1px solid var(--border-color-primary) !important; min-width: 9em; }
/* Gradio breaks words anywhere, and lines at every entity. */
.entities .textfield { display: block !important; word-break: normal !important; overflow-wrap: anywhere; }
.entities .token-container { display: inline !important; }
.entities .token { padding-block: 2px; }
.dark .entities .token.highlighted { color: var(--body-text-color) !important; }
.preview + .preview { margin-top: 12px; }
.preview.scores tbody td { min-width: 0; font-variant-numeric: tabular-nums; }
.aside { color: var(--body-text-color-subdued); font-size: 0.9rem; overflow-wrap: anywhere; }
.preview .word { display: inline-block; border: 1px solid var(--border-color-primary); border-radius: 4px;
  padding: 0 4px; margin: 1px 0; }
/* Otherwise a wide bar of tabs, figure or table would widen the complete page on a phone. */
.tab-wrapper, .tabitem > * { contain: inline-size; }
.preview { max-width: calc(100vw - 64px) !important; overflow-x: auto !important; }
.label-slot { margin-bottom: 8px; }
.label-slot button { align-self: end; }
.verdict .headline-result { font-size: 1.5rem; font-weight: 650; line-height: 1.3; margin: 0.4em 0 0; }
.verdict p { margin: 0.3em 0 0; max-width: 60em; }
#landing button { min-height: 64px; }
.preview.live { max-height: 420px; overflow-y: auto; }
.preview.live td:first-child { width: 60%; }
/* The tabs of the results stay in view while one reads. */
#result-tabs > .tab-wrapper { position: sticky; top: 0; z-index: 20; background: var(--body-background-fill); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(max(140px, 22%), 1fr)); gap: 10px;
  margin: 4px 0; }
.tile { background: var(--background-fill-secondary); border: 1px solid var(--border-color-primary);
  border-radius: 8px; padding: 12px 14px; }
.tile .value { font-size: 1.5rem; font-weight: 650; font-variant-numeric: tabular-nums; }
.tile .name { color: var(--body-text-color-subdued); font-size: 0.85rem; }
.phases { display: grid; gap: 8px; }
.phase { display: grid; grid-template-columns: 19em 1fr 9em; gap: 12px; align-items: center; }
.phase .bar { background: var(--neutral-200); border-radius: 6px; height: 12px; overflow: hidden; display: block; }
.dark .phase .bar { background: var(--neutral-700); }
.phase .bar i { display: block; height: 100%; background: var(--primary-600); transition: width 0.4s; }
.phase .said { color: var(--body-text-color-subdued); font-size: 0.9rem; font-variant-numeric: tabular-nums; }
:focus-visible { outline: 3px solid var(--primary-500) !important; outline-offset: 2px; }
/* Plotly has one text colour for both themes; the colour of the page is easier to read. */
.js-plotly-plot svg g:not(.hovertext) > text { fill: var(--body-text-color-subdued) !important; }
@media (max-width: 640px) {
  .modebar-container { display: none; }
  .phase { grid-template-columns: 1fr; gap: 2px; }
  .preview.scores th, .preview.scores td { padding: 5px 6px; font-size: 0.85rem; white-space: normal;
    overflow-wrap: normal; }
  .headline h1 { font-size: 1.35rem; }
}
"""
