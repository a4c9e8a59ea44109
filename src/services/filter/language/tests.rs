use base64::Engine as _;

use super::{Language, Reading};
use crate::services::filter::view::View;
use crate::services::filter::{LanguageSettings, LimitSettings};

/// Texts as people write them, by language.
const TEXTS: &[(&str, &str)] = &[
    (
        "de",
        "Guten Morgen, die Unterlagen für die Sitzung am Donnerstag habe ich gestern noch fertig gemacht und in den Ordner \
         gelegt. Bitte schau sie dir an, bevor wir mit der Kundin sprechen, und sag mir, ob dir die Zahlen im zweiten \
         Teil einleuchten.",
    ),
    (
        "en",
        "Good morning, I finished the papers for the meeting on Thursday last night and put them in the folder. Please have \
         a look at them before we talk to the customer, and tell me whether the figures in the second part make sense to \
         you.",
    ),
    (
        "fr",
        "Bonjour, j'ai terminé hier soir les documents pour la réunion de jeudi et je les ai mis dans le dossier. Merci de les \
         regarder avant que nous parlions à la cliente, et dis-moi si les chiffres de la deuxième partie te paraissent \
         justes.",
    ),
    (
        "es",
        "Buenos días, anoche terminé los documentos para la reunión del jueves y los dejé en la carpeta. Por favor, míralos \
         antes de que hablemos con la clienta y dime si las cifras de la segunda parte te parecen correctas, porque yo \
         tengo mis dudas.",
    ),
    (
        "it",
        "Buongiorno, ieri sera ho finito i documenti per la riunione di giovedì e li ho messi nella cartella. Per favore \
         guardali prima che parliamo con la cliente e dimmi se le cifre della seconda parte ti sembrano giuste, perché io \
         non ne sono sicuro.",
    ),
    (
        "pt",
        "Bom dia, ontem à noite terminei os documentos para a reunião de quinta-feira e coloquei-os na pasta. Por favor, dá \
         uma olhada antes de falarmos com a cliente e diz-me se os números da segunda parte fazem sentido, pois eu não \
         tenho a certeza.",
    ),
    (
        "nl",
        "Goedemorgen, gisteravond heb ik de stukken voor de vergadering van donderdag afgemaakt en in de map gelegd. Wil je ze \
         bekijken voordat we met de klant spreken, en me laten weten of de cijfers in het tweede deel volgens jou \
         kloppen?",
    ),
    (
        "sv",
        "God morgon, i går kväll blev jag klar med underlaget till mötet på torsdag och lade det i mappen. Titta gärna igenom \
         det innan vi pratar med kunden och säg till om du tycker att siffrorna i den andra delen verkar rimliga, för jag \
         är osäker.",
    ),
    (
        "fi",
        "Hyvää huomenta, sain eilen illalla valmiiksi torstain kokouksen asiakirjat ja panin ne kansioon. Katso ne ystävällisesti \
         läpi ennen kuin puhumme asiakkaan kanssa, ja kerro minulle, ovatko toisen osan luvut sinun mielestäsi oikein.",
    ),
    (
        "pl",
        "Dzień dobry, wczoraj wieczorem skończyłem dokumenty na czwartkowe spotkanie i włożyłem je do teczki. Proszę, przejrzyj \
         je, zanim porozmawiamy z klientką, i powiedz mi, czy liczby w drugiej części wydają ci się prawidłowe.",
    ),
    (
        "cs",
        "Dobré ráno, včera večer jsem dokončil podklady na čtvrteční schůzku a uložil je do složky. Prosím, podívej se na ně, \
         než budeme mluvit se zákaznicí, a řekni mi, jestli ti čísla ve druhé části připadají správná, protože si nejsem \
         jistý.",
    ),
    (
        "hu",
        "Jó reggelt, tegnap este befejeztem a csütörtöki megbeszélés anyagait, és betettem őket a mappába. Kérlek, nézd át őket, \
         mielőtt beszélünk az ügyféllel, és mondd meg, hogy szerinted helyesek-e a második rész számai.",
    ),
    (
        "ro",
        "Bună dimineața, aseară am terminat documentele pentru ședința de joi și le-am pus în dosar. Te rog să le citești înainte \
         să vorbim cu clienta și să îmi spui dacă cifrele din partea a doua ți se par corecte, fiindcă eu nu sunt sigur.",
    ),
    (
        "tr",
        "Günaydın, perşembe günkü toplantının belgelerini dün akşam bitirdim ve klasöre koydum. Müşteriyle konuşmadan önce lütfen \
         onlara bir göz at ve ikinci bölümdeki sayıların sana doğru görünüp görünmediğini bana söyle, çünkü ben emin \
         değilim.",
    ),
    (
        "vi",
        "Chào buổi sáng, tối qua tôi đã làm xong tài liệu cho cuộc họp hôm thứ năm và để trong thư mục. Xin bạn xem qua trước khi \
         chúng ta nói chuyện với khách hàng, và cho tôi biết các con số ở phần thứ hai có hợp lý hay không.",
    ),
    (
        "ru",
        "Доброе утро, вчера вечером я закончил документы для встречи в четверг и положил их в папку. Пожалуйста, посмотри их до \
         того, как мы будем говорить с клиенткой, и скажи мне, кажутся ли тебе верными цифры во второй части.",
    ),
    (
        "uk",
        "Доброго ранку, учора ввечері я закінчив документи для зустрічі в четвер і поклав їх у теку. Будь ласка, переглянь їх, \
         перш ніж ми розмовлятимемо з клієнткою, і скажи мені, чи здаються тобі правильними цифри в другій частині.",
    ),
    (
        "el",
        "Καλημέρα, χθες το βράδυ τελείωσα τα έγγραφα για τη συνάντηση της Πέμπτης και τα έβαλα στον φάκελο. Σε παρακαλώ ρίξε μια \
         ματιά πριν μιλήσουμε με την πελάτισσα και πες μου αν τα νούμερα στο δεύτερο μέρος σου φαίνονται σωστά.",
    ),
    (
        "he",
        "בוקר טוב, אתמול בערב סיימתי את המסמכים לפגישה של יום חמישי ושמתי אותם בתיקייה. אנא עברו עליהם לפני שנדבר עם הלקוחה, \
         ואמרו לי אם המספרים בחלק השני נראים לכם נכונים, כי אני עצמי אינני בטוח בכך לגמרי.",
    ),
    (
        "ar",
        "صباح الخير، لقد أنهيت مساء أمس الأوراق الخاصة باجتماع يوم الخميس ووضعتها في المجلد. أرجو أن تلقي نظرة عليها قبل أن نتحدث \
         مع العميلة، وأن تخبرني إن كانت الأرقام الواردة في الجزء الثاني تبدو لك صحيحة.",
    ),
    (
        "hi",
        "सुप्रभात, मैंने कल रात गुरुवार की बैठक के कागज़ पूरे कर लिए और उन्हें फ़ोल्डर में रख दिया है। कृपया ग्राहक से बात करने से पहले \
         उन्हें देख लीजिए और मुझे बताइए कि क्या दूसरे भाग के आँकड़े आपको सही लगते हैं, क्योंकि मुझे पूरा भरोसा नहीं है। अगर कुछ \
         बदलना हो तो मैं आज ही कर दूँगा और आपको फिर से भेज दूँगा।",
    ),
    (
        "zh",
        "早上好，星期四会议的文件我昨天晚上已经做完，放在文件夹里了。请你在我们和客户谈话之前看一看，并告诉我第二部分的数字你觉得对不对。如果还有什么地方需要修改，我今天下午就可以改好再发给你。",
    ),
    (
        "ja",
        "おはようございます。木曜日の会議の資料は昨日の夜に出来上がり、フォルダーに入れておきました。お客様とお話しする前に目を通していただき、二つ目の部分の数字が正しいかどうか教えてください。",
    ),
    (
        "ko",
        "안녕하세요, 목요일 회의 자료를 어젯밤에 끝내서 폴더에 넣어 두었습니다. 고객과 이야기하기 전에 한번 살펴보시고, 두 번째 부분의 숫자가 맞는지 저에게 알려 주시기 바랍니다.",
    ),
];

fn text(code: &str) -> &'static str {
    TEXTS.iter().find(|(other, _)| *other == code).unwrap().1
}

fn languages(codes: &str) -> Vec<Language> {
    codes.split_whitespace().map(|code| Language::from_code(code).unwrap()).collect()
}

/// What is recognised in a message, and what of it somebody cannot read who reads these.
fn read(message: &[u8], reads: &str) -> (Option<&'static str>, Option<&'static str>) {
    let view = View::new(message, &LimitSettings::default());
    let settings = LanguageSettings::default();
    let reading = Reading::new(&view, &settings);
    (reading.language().map(Language::code), reading.unread(&languages(reads)).map(Language::code))
}

fn unread(message: &str, reads: &str) -> Option<&'static str> {
    read(message.as_bytes(), reads).1
}

fn plain(text: &str) -> String {
    format!("Subject: x\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{text}\r\n")
}

#[test]
fn languages_are_told_apart() {
    for (code, text) in TEXTS {
        let message = plain(text);
        let others: Vec<&str> =
            TEXTS.iter().map(|(other, _)| *other).filter(|other| other != code && !near(code, other)).collect();
        assert_eq!(read(message.as_bytes(), &others.join(" ")), (Some(*code), Some(*code)), "{code}");
        assert_eq!(read(message.as_bytes(), code), (Some(*code), None), "{code}");
        assert_eq!(unread(&message, ""), None, "{code}: who reads nothing in particular reads all");
    }
}

/// Pairs of the table that count as readable for each other.
fn near(one: &str, other: &str) -> bool {
    let (one, other) = (Language::from_code(one).unwrap(), Language::from_code(other).unwrap());
    one.covers(other.lang().unwrap(), whatlang::Script::Latin)
}

#[test]
fn what_is_short_has_no_language() {
    for short in [
        "Спасибо, до завтра!",
        "ok",
        "",
        "Danke, passt so. Bis morgen!",
        "早上好",
        "https://example.test/a/b?c=d 12345 6789 ann@example.test 0x7fffffff",
    ] {
        assert_eq!(read(plain(short).as_bytes(), "en"), (None, None), "{short}");
    }
    // Addresses, numbers and names of files are no words, however many there are.
    let listing = "-rw-r--r-- 1 root root 2851 /usr/share/doc/x.rs build@host:~/src$ 3f2a9c 10.0.0.1\r\n".repeat(20);
    assert_eq!(unread(&plain(&listing.replace("root", "")), "ru"), None);
}

#[test]
fn who_reads_a_part_reads_the_message() {
    let (ru, de, en) = (text("ru"), text("de"), text("en"));
    for (what, message, reads, wanted) in [
        ("two languages below each other", format!("{en}\r\n\r\n{ru}"), "en", None),
        (
            "the same far below",
            format!("{0}{0}{0}{0}{1}{1}{1}", format!("{ru}\r\n\r\n"), format!("{de}\r\n\r\n")),
            "de",
            None,
        ),
        ("nothing but its letters is known of the language", format!("{ru}\r\n\r\n{de}"), "is", None),
        ("a reply to what one can read", format!("{ru}\r\n\r\n> {de}"), "de", None),
        ("a quote that one cannot read, and few words", format!("Passt, danke!\r\n\r\n> {en}"), "de", None),
        (
            "a signature in English",
            format!(
                "{ru}\r\n-- \r\nThis message is meant for its recipients only; whoever got it by mistake is asked to delete it."
            ),
            "en",
            Some("ru"),
        ),
        (
            "a notice in English at the foot",
            format!("{ru}\r\n\r\n{ru}\r\n\r\nUnsubscribe from this list here"),
            "en",
            Some("ru"),
        ),
        ("a message passed on", format!("Zur Kenntnis.\r\n\r\n----- Original Message -----\r\n{en}"), "de", None),
    ] {
        let found = unread(&plain(&message), reads);
        match wanted {
            Some(_) => assert!(found.is_some(), "{what}"),
            None => assert_eq!(found, None, "{what}"),
        }
    }
}

#[test]
fn whatever_the_message_is_packed_in() {
    let ru = text("ru");
    let base64 = base64::engine::general_purpose::STANDARD.encode(ru);
    let koi8 = encoding_rs::KOI8_R.encode(ru).0.into_owned();
    let windows = encoding_rs::WINDOWS_1251.encode(ru).0.into_owned();
    let quoted: String = ru.bytes().map(|byte| format!("={byte:02X}")).collect();
    let with = |head: &str, body: &[u8]| [head.as_bytes(), b"\r\n\r\n", body].concat();
    for (what, message) in [
        (
            "base64",
            with("Content-Transfer-Encoding: base64\r\nContent-Type: text/plain; charset=utf-8", base64.as_bytes()),
        ),
        ("KOI8-R", with("Content-Type: text/plain; charset=koi8-r", &koi8)),
        ("Windows-1251", with("Content-Type: text/plain; charset=windows-1251", &windows)),
        (
            "quoted-printable",
            with(
                "Content-Transfer-Encoding: quoted-printable\r\nContent-Type: text/plain; charset=utf-8",
                quoted.as_bytes(),
            ),
        ),
        (
            "HTML with English that nobody sees",
            with(
                "Content-Type: text/html; charset=utf-8",
                format!("<div style=\"display:none\">{0} {0}</div><p>{ru}</p>", text("en")).as_bytes(),
            ),
        ),
        (
            "alternatives",
            with(
                "Content-Type: multipart/alternative; boundary=b",
                format!(
                    "--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{ru}\r\n--b\r\nContent-Type: text/html; \
                     charset=utf-8\r\n\r\n<html><body><p>{ru}</p></body></html>\r\n--b--\r\n"
                )
                .as_bytes(),
            ),
        ),
    ] {
        assert_eq!(read(&message, "en de"), (Some("ru"), Some("ru")), "{what}");
    }
    let html = format!("<p>{ru}</p><blockquote><p>{}</p></blockquote>", text("de"));
    let reply = with("Content-Type: text/html; charset=utf-8", html.as_bytes());
    assert_eq!(read(&reply, "de"), (Some("ru"), None), "a reply in HTML");
    assert_eq!(read(&reply, "en"), (Some("ru"), Some("ru")), "a reply in HTML to somebody else");
}

#[test]
fn only_the_beginning_is_looked_at() {
    let settings = LanguageSettings::default();
    let long = plain(&format!("{}\r\n\r\n", text("en")).repeat(20_000));
    let limits = LimitSettings::default();
    let view = View::new(long.as_bytes(), &limits);
    let reading = Reading::new(&view, &settings);
    assert_eq!(reading.unread(&languages("ru")).map(Language::code), Some("en"));
    // What stands in the way is passed over, not counted.
    let quote = format!("> {}\r\n", text("de")).repeat(50);
    assert_eq!(unread(&plain(&format!("{quote}\r\n{}", text("ru"))), "en"), Some("ru"));
}
