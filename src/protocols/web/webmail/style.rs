//! Sanitises `style` attributes of messages.
//!
//! Not a CSS parser, which would have too many corner cases: anything that is not plainly a harmless declaration is dropped.
//! What remains cannot load anything, hide behind an escape, or be placed outside of the flow of the text.

/// Longest attribute that is looked at, in octets.
const LONGEST: usize = 8 << 10;

/// Properties that stay. Those that place things (`position`, `z-index`, `transform`) are not among them.
const PROPERTIES: &[&str] = &[
    "background",
    "background-color",
    "border",
    "border-bottom",
    "border-bottom-color",
    "border-bottom-left-radius",
    "border-bottom-right-radius",
    "border-bottom-style",
    "border-bottom-width",
    "border-collapse",
    "border-color",
    "border-left",
    "border-left-color",
    "border-left-style",
    "border-left-width",
    "border-radius",
    "border-right",
    "border-right-color",
    "border-right-style",
    "border-right-width",
    "border-spacing",
    "border-style",
    "border-top",
    "border-top-color",
    "border-top-left-radius",
    "border-top-right-radius",
    "border-top-style",
    "border-top-width",
    "border-width",
    "caption-side",
    "clear",
    "color",
    "direction",
    "display",
    "empty-cells",
    "float",
    "font",
    "font-family",
    "font-size",
    "font-style",
    "font-variant",
    "font-weight",
    "height",
    "letter-spacing",
    "line-height",
    "list-style",
    "list-style-position",
    "list-style-type",
    "margin",
    "margin-bottom",
    "margin-left",
    "margin-right",
    "margin-top",
    "max-height",
    "max-width",
    "min-height",
    "min-width",
    "overflow",
    "overflow-wrap",
    "padding",
    "padding-bottom",
    "padding-left",
    "padding-right",
    "padding-top",
    "table-layout",
    "text-align",
    "text-decoration",
    "text-indent",
    "text-transform",
    "vertical-align",
    "visibility",
    "white-space",
    "width",
    "word-break",
    "word-spacing",
    "word-wrap",
];

/// Functions that only compute colours and lengths.
const FUNCTIONS: &[&str] = &["rgb", "rgba", "hsl", "hsla", "calc"];

/// The harmless declarations of an attribute; `None` when there are none.
pub(super) fn clean(style: &str) -> Option<String> {
    // Escapes and comments can make anything of a word; braces and at-rules have no place in an attribute.
    let is_plain =
        |c: char| !matches!(c, '\\' | '{' | '}' | '<' | '>' | '@' | '`') && (!c.is_control() || c.is_whitespace());
    if style.len() > LONGEST || !style.chars().all(is_plain) || style.contains("/*") {
        return None;
    }
    let kept: Vec<String> = style.split(';').filter_map(declaration).collect();
    (!kept.is_empty()).then(|| kept.join("; "))
}

fn declaration(text: &str) -> Option<String> {
    let (name, value) = text.split_once(':')?;
    let (name, value) = (name.trim().to_ascii_lowercase(), value.trim());
    let known = PROPERTIES.binary_search(&name.as_str()).is_ok();
    if known && is_harmless(value) && !is_of_the_window(value) {
        return Some(format!("{name}: {value}"));
    }
    // Without the colour behind it light text could not be read.
    let behind = if name == "background" { colour_in(value) } else { None };
    behind.map(|colour| format!("background-color: {colour}"))
}

/// The plain colour among the values of a `background`.
fn colour_in(value: &str) -> Option<&str> {
    let mut depth = 0usize;
    let mut pieces = value.split(|c: char| {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0 && (c.is_whitespace() || c == ',')
    });
    pieces.find(|piece| is_colour(piece))
}

/// Whether a value is a colour and nothing else: by name, in hexadecimal digits, or by a function of one.
pub(super) fn is_colour(value: &str) -> bool {
    let value = value.to_ascii_lowercase();
    if let Some(digits) = value.strip_prefix('#') {
        return matches!(digits.len(), 3 | 4 | 6 | 8) && digits.bytes().all(|octet| octet.is_ascii_hexdigit());
    }
    let by_function = || {
        let (name, rest) = value.split_once('(')?;
        let numbers = rest.strip_suffix(')')?;
        let is_number = |c: char| c.is_ascii_alphanumeric() || matches!(c, ' ' | ',' | '.' | '%' | '-');
        Some(["rgb", "rgba", "hsl", "hsla"].contains(&name) && numbers.chars().all(is_number))
    };
    COLOURS.binary_search(&value.as_str()).is_ok() || by_function() == Some(true)
}

/// Colours by name (CSS Color Module Level 4 §6.1).
const COLOURS: &[&str] = &[
    "aliceblue",
    "antiquewhite",
    "aqua",
    "aquamarine",
    "azure",
    "beige",
    "bisque",
    "black",
    "blanchedalmond",
    "blue",
    "blueviolet",
    "brown",
    "burlywood",
    "cadetblue",
    "chartreuse",
    "chocolate",
    "coral",
    "cornflowerblue",
    "cornsilk",
    "crimson",
    "cyan",
    "darkblue",
    "darkcyan",
    "darkgoldenrod",
    "darkgray",
    "darkgreen",
    "darkgrey",
    "darkkhaki",
    "darkmagenta",
    "darkolivegreen",
    "darkorange",
    "darkorchid",
    "darkred",
    "darksalmon",
    "darkseagreen",
    "darkslateblue",
    "darkslategray",
    "darkslategrey",
    "darkturquoise",
    "darkviolet",
    "deeppink",
    "deepskyblue",
    "dimgray",
    "dimgrey",
    "dodgerblue",
    "firebrick",
    "floralwhite",
    "forestgreen",
    "fuchsia",
    "gainsboro",
    "ghostwhite",
    "gold",
    "goldenrod",
    "gray",
    "green",
    "greenyellow",
    "grey",
    "honeydew",
    "hotpink",
    "indianred",
    "indigo",
    "ivory",
    "khaki",
    "lavender",
    "lavenderblush",
    "lawngreen",
    "lemonchiffon",
    "lightblue",
    "lightcoral",
    "lightcyan",
    "lightgoldenrodyellow",
    "lightgray",
    "lightgreen",
    "lightgrey",
    "lightpink",
    "lightsalmon",
    "lightseagreen",
    "lightskyblue",
    "lightslategray",
    "lightslategrey",
    "lightsteelblue",
    "lightyellow",
    "lime",
    "limegreen",
    "linen",
    "magenta",
    "maroon",
    "mediumaquamarine",
    "mediumblue",
    "mediumorchid",
    "mediumpurple",
    "mediumseagreen",
    "mediumslateblue",
    "mediumspringgreen",
    "mediumturquoise",
    "mediumvioletred",
    "midnightblue",
    "mintcream",
    "mistyrose",
    "moccasin",
    "navajowhite",
    "navy",
    "oldlace",
    "olive",
    "olivedrab",
    "orange",
    "orangered",
    "orchid",
    "palegoldenrod",
    "palegreen",
    "paleturquoise",
    "palevioletred",
    "papayawhip",
    "peachpuff",
    "peru",
    "pink",
    "plum",
    "powderblue",
    "purple",
    "rebeccapurple",
    "red",
    "rosybrown",
    "royalblue",
    "saddlebrown",
    "salmon",
    "sandybrown",
    "seagreen",
    "seashell",
    "sienna",
    "silver",
    "skyblue",
    "slateblue",
    "slategray",
    "slategrey",
    "snow",
    "springgreen",
    "steelblue",
    "tan",
    "teal",
    "thistle",
    "tomato",
    "turquoise",
    "violet",
    "wheat",
    "white",
    "whitesmoke",
    "yellow",
    "yellowgreen",
];

fn is_harmless(value: &str) -> bool {
    let quotes = |mark| value.matches(mark).count() % 2 == 0;
    // No allowed value contains a colon, but every URL does.
    !value.is_empty() && !value.contains([':', '/']) && quotes('"') && quotes('\'') && functions_are_harmless(value)
}

/// Whether a length is a part of the height of the window. The frame of a message is made as high as what is in it: it would grow without an
/// end.
fn is_of_the_window(value: &str) -> bool {
    let value = value.to_ascii_lowercase();
    let after_a_number = |at: usize| value[..at].ends_with(|c: char| c.is_ascii_digit() || c == '.');
    HEIGHTS.iter().any(|unit| value.match_indices(unit).any(|(at, _)| after_a_number(at)))
}

/// Units of length that have to do with the height of the window (CSS Values and Units Module Level 4 §6.1.2).
const HEIGHTS: [&str; 16] = [
    "dvb", "dvh", "dvmax", "dvmin", "lvb", "lvh", "lvmax", "lvmin", "svb", "svh", "svmax", "svmin", "vb", "vh", "vmax",
    "vmin",
];

fn functions_are_harmless(value: &str) -> bool {
    value.match_indices('(').all(|(at, _)| {
        let before = &value[..at];
        let name =
            before.rsplit(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_').next().unwrap_or_default();
        // Parentheses within calc().
        let is_nested = name.is_empty() && before.to_ascii_lowercase().contains("calc(");
        is_nested || FUNCTIONS.iter().any(|known| name.eq_ignore_ascii_case(known))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_are_sorted() {
        assert!(PROPERTIES.is_sorted() && COLOURS.is_sorted());
    }

    #[test]
    fn harmless_ones_stay() {
        for (style, wanted) in [
            ("color:red", "color: red"),
            (" COLOR : rgb(1, 2,3) ;; margin:0 auto;", "color: rgb(1, 2,3); margin: 0 auto"),
            (
                "font-family: \"Segoe UI\", Arial; width: calc((100% - 2px) * 2)",
                "font-family: \"Segoe UI\", Arial; width: calc((100% - 2px) * 2)",
            ),
            ("color: #fff !important; position: fixed; mso-line-height-rule: exactly", "color: #fff !important"),
            ("background:#204 url(http://evil.test/x) no-repeat", "background-color: #204"),
            ("background: url('http://evil.test/a (b) #fff') center, Navy", "background-color: Navy"),
            ("background: url(x) rgb(1, 2, 3)", "background-color: rgb(1, 2, 3)"),
            ("background: #102030", "background: #102030"),
            ("min-height: 100vh; width: 50vw; height:calc(2px + 1.DVH)", "width: 50vw"),
        ] {
            assert_eq!(clean(style).as_deref(), Some(wanted), "{style}");
        }
    }

    #[test]
    fn everything_else_goes() {
        for style in [
            "",
            "color",
            "background: url(http://evil.test/x)",
            "background:URL (x)",
            "background-image: image-set(\"x\" 1x)",
            "background: \\75rl(x)",
            "background: u/**/rl(x)",
            "width: expression(alert(1))",
            "behavior: url(#default#time2)",
            "-moz-binding: url(x)",
            "color: red} body {display: none",
            "@import 'x'",
            "background: -webkit-image-set(x)",
            "content: attr(title)",
            "color: var(--x)",
            "position: fixed; top: 0; left: 0; z-index: 9",
            "font-family: \"never closed",
            "list-style: 'javascript:alert(1)'",
            "background: //evil.test/x",
            "color: env(x)",
            "display:\u{0}none",
        ] {
            assert_eq!(clean(style), None, "{style}");
        }
    }
}
