"""Words, names and legacy charsets that the corpus is made of."""

from dataclasses import dataclass


def words(text: str) -> list[str]:
    return text.split()


#: Words of most messages, the common ones first: they are drawn by rank (Zipf).
ENGLISH = words("""
the to of and a in is for you that on with be this it we are as at your will have from by can not
or if our please has all was meeting would time new about more any when there they which what
project one out up just been next week team work know need some also like get into should them
after today only than how report thanks see make other first could budget over attached update
send day back good may who customer call two review order those then most us very now before
change last where data question month plan use many part since still version take product draft
number price list help working contract again between date service agreement problem invoice
delivery office release schedule account office quarter sales market morning however process
during design training deadline request approval password support system network server ticket
document figures summary proposal conference travel hotel flight lunch dinner weekend holiday
shipment warehouse supplier payment refund receipt discount offer subscription newsletter feature
""")

#: Searched for by the benchmark: ten messages of any corpus, one message in 500, and one in 50.
TEN = "ptarmigan"
RARE = "zugzwang"
PHRASE = "quarterly budget review"
COMMON = "meeting"

FIRST_NAMES = words("""Alice Bruno Chloe Daniel Elena Farid Grace Hugo Irene Jonas Keiko
Liam Maya Noah Olga Pedro Quentin Rosa Stefan Tara Umar Vera Walter Xenia Yusuf Zoe""")
LAST_NAMES = words("""Anders Brown Costa Dubois Evans Fischer Garcia Hansen Ivanova Jensen
Kowalski Lopez Meyer Novak Okafor Patel Quinn Rossi Schmidt Tanaka Ueda Varga Weber Xu Young
Zhang""")
DOMAINS = words("""example.com example.org example.net mail.example.com lists.example.org
sales.example.net corp.example.com""")

ATTACHMENTS = [
    ("application/pdf", "report.pdf", b"%PDF-1.7\n"),
    ("image/jpeg", "photo.jpg", b"\xff\xd8\xff\xe0\x00\x10JFIF"),
    ("image/png", "diagram.png", b"\x89PNG\r\n\x1a\n"),
    ("application/zip", "archive.zip", b"PK\x03\x04"),
    ("text/csv", "figures.csv", b"date,amount\r\n"),
    ("text/calendar", "invite.ics", b"BEGIN:VCALENDAR\r\n"),
    (
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "übersicht.docx",
        b"PK\x03\x04",
    ),
]


@dataclass(frozen=True)
class Language:
    """A language other than English, and how mail in it used to be encoded."""

    words: list[str]
    name: str  # of a sender
    charset: str
    encoding: str  # Content-Transfer-Encoding
    separator: str = " "


LANGUAGES = [
    Language(
        words("""der die und in den von zu das mit sich des auf für ist im dem nicht ein
        eine als auch es Grüße Rechnung Besprechung Änderung überprüfen möglich Größe Straße
        Angebot Frühstück nächste Woche schöne können müssen Verträge Prüfung Lösung"""),
        "Jürgen Müßig",
        "iso-8859-1",
        "quoted-printable",
    ),
    Language(
        words("""le la les et des en un du une que est pour qui dans au sur avec réunion
        très être déjà où ça français marché délai général équipe développement élève façon
        près modèle"""),
        "Zoé Lefèvre",
        "iso-8859-15",
        "quoted-printable",
    ),
    Language(
        words("""и в не на я быть он с что а по это как мы из у к о за весь встреча отчёт
        договор сегодня завтра проект письмо время работа вопрос ответ спасибо пожалуйста"""),
        "Анна Петрова",
        "koi8-r",
        "base64",
    ),
    Language(
        words("""και το να του η της με που την από για σε τα των οι στο θα είναι συνάντηση
        έργο ημέρα αναφορά σήμερα αύριο ευχαριστώ παρακαλώ χρόνος"""),
        "Νίκος Παππάς",
        "iso-8859-7",
        "8bit",
    ),
    Language(
        words("""会議 報告書 資料 確認 お願い 明日 午後 予定 契約 東京 出張 電車 時間 変更
        連絡 担当 製品 開発 見積 請求書 ありがとうございます です ます を は が に の と も"""),
        "山田太郎",
        "iso-2022-jp",
        "7bit",
        separator="",
    ),
    Language(
        words("""会议 报告 文件 请 查看 明天 下午 时间 合同 上海 出差 项目 更新 客户 产品
        开发 预算 发票 谢谢 我们 您 的 了 在 和 是"""),
        "王小明",
        "gb18030",
        "base64",
        separator="",
    ),
    Language(
        words("""회의 보고서 자료 확인 부탁 내일 오후 일정 계약 서울 출장 시간 변경 연락
        담당 제품 개발 견적 감사합니다 우리 에서 그리고"""),
        "김철수",
        "euc-kr",
        "base64",
    ),
    Language(
        words("""في من على إلى أن هذا مع عن التي اجتماع تقرير مشروع اليوم غدا شكرا العقد
        الوقت العميل المنتج الميزانية"""),
        "فاطمة حسن",
        "windows-1256",
        "base64",
    ),
    Language(
        words("""של את על לא עם הוא זה כל גם אני פגישה דוח פרויקט היום מחר תודה חוזה זמן
        לקוח"""),
        "דוד לוי",
        "windows-1255",
        "base64",
    ),
    Language(
        words("""के में की है यह और से को पर बैठक रिपोर्ट परियोजना आज कल धन्यवाद समय ग्राहक
        उत्पाद"""),
        "प्रिया शर्मा",
        "utf-8",
        "base64",
    ),
]
