//! The icons, drawn for this site on a grid of 24 with lines of 2. They say nothing by themselves: a text stands beside each.

/// An icon as SVG; nothing for a name that there is not.
pub(crate) fn icon(name: &str) -> &'static str {
    macro_rules! drawn {
        ($($name:literal: $shape:literal),* $(,)?) => {
            match name {
                $($name => concat!(
                    r#"<svg class="icon" viewBox="0 0 24 24" width="20" height="20" fill="none" stroke="currentColor" "#,
                    r#"stroke-width="2" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">"#,
                    $shape, "</svg>"
                ),)*
                _ => "",
            }
        };
    }
    drawn! {
        "mark": r#"<path d="M5 4h11l3 3v13H5z"/><path d="M9 13l2.5 2.5L16 10"/>"#,
        "search": r#"<circle cx="11" cy="11" r="6"/><path d="M16 16l4 4"/>"#,
        "calendar": r#"<rect x="4" y="5" width="16" height="15" rx="2"/><path d="M4 10h16M8 3v4M16 3v4"/>"#,
        "seat": r#"<path d="M7 4v9h9M7 13v7M16 13v7"/>"#,
        "won": r#"<path d="M4 6l3.5 12L12 7l4.5 11L20 6M3 12h18"/>"#,
        "people": r#"<circle cx="9" cy="8" r="3"/><path d="M3 19c0-3 2.7-5 6-5s6 2 6 5M16 5.5a3 3 0 010 5M18 14.5c2 .7 3 2.3 3 4.5"/>"#,
        "check": r#"<path d="M5 13l4.5 4.5L19 7"/>"#,
        "clock": r#"<circle cx="12" cy="12" r="8"/><path d="M12 8v4l3 2"/>"#,
        "cross": r#"<path d="M6 6l12 12M18 6L6 18"/>"#,
        "warning": r#"<path d="M12 4l9 16H3zM12 10v4M12 17v.01"/>"#,
        "info": r#"<circle cx="12" cy="12" r="8"/><path d="M12 11v5M12 8v.01"/>"#,
        "card": r#"<rect x="3" y="6" width="18" height="12" rx="2"/><path d="M3 10h18M7 15h3"/>"#,
        "back": r#"<path d="M14 6l-6 6 6 6"/>"#,
        "next": r#"<path d="M10 6l6 6-6 6"/>"#,
        "chat": r#"<path d="M4 5h16v11h-9l-4 4v-4H4z"/>"#,
        "print": r#"<path d="M7 9V4h10v5M7 17H4V9h16v8h-3M7 14h10v6H7z"/>"#,
        "download": r#"<path d="M12 4v11M7 11l5 5 5-5M5 20h14"/>"#,
        "user": r#"<circle cx="12" cy="8" r="4"/><path d="M4 20c0-4 3.6-6 8-6s8 2 8 6"/>"#,
        "globe": r#"<circle cx="12" cy="12" r="8"/><path d="M4 12h16M12 4c3 2.5 3 13.5 0 16M12 4c-3 2.5-3 13.5 0 16"/>"#,
        "refund": r#"<path d="M4 12a8 8 0 108-8H7M10 1L7 4l3 3"/>"#,
        "plus": r#"<path d="M12 5v14M5 12h14"/>"#,
        "list": r#"<path d="M8 6h12M8 12h12M8 18h12M4 6v.01M4 12v.01M4 18v.01"/>"#,
        "away": r#"<path d="M4 4l16 16M9 6.5A9 9 0 0120 11M4 11a9 9 0 012.5-2M8 15a6 6 0 016-1.5M12 19v.01"/>"#,
    }
}
