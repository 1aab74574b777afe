import SheafCore
import Testing

@testable import SheafSettings

@Suite struct SettingsValueTests {
    @Test(
        "Durations are parsed",
        arguments: [
            ("500ms", Duration.milliseconds(500)), ("60s", .seconds(60)), ("5m", .seconds(300)), ("2h", .seconds(7200)),
            ("1d", .seconds(86400)), ("1.5s", .milliseconds(1500)), ("0.25h", .seconds(900)), ("5 m", .seconds(300)),
            ("0s", .zero), ("10000d", .seconds(864_000_000)),
        ]
    )
    func readsDurations(text: String, duration: Duration) {
        #expect(DurationText.parse(text) == duration)
    }

    @Test(
        "Invalid durations are refused",
        arguments: ["", "5", "s", "5 ", "-5s", "5x", "5S", "1e3s", "1.2.3s", "5m30s", "10001d", "٥s", "nan s", "inf"]
    )
    func refusesDurations(text: String) {
        #expect(DurationText.parse(text) == nil)
    }

    @Test(
        "Sizes are parsed",
        arguments: [
            ("512", 512), ("512B", 512), ("64KiB", 65536), ("1MiB", 1 << 20), ("10MB", 10_000_000), ("1.5kib", 1536),
            ("2 GiB", 2 << 30), ("1GB", 1_000_000_000), ("0", 0),
        ]
    )
    func readsSizes(text: String, size: Int) {
        #expect(SizeText.parse(text) == size)
    }

    @Test("Invalid sizes are refused", arguments: ["", "MiB", "-1", "1TB", "1e5", "99999999999999999999GiB", "five"])
    func refusesSizes(text: String) {
        #expect(SizeText.parse(text) == nil)
    }

    @Test(
        "Plain scalars follow the core schema of YAML 1.2",
        arguments: [
            ("", JSONValue.null), ("~", .null), ("null", .null), ("true", true), ("False", false), ("yes", "yes"),
            ("no", "no"),
            ("on", "on"), ("1", 1), ("-5", -5), ("+5", 5), ("1.50", .number("1.50")), ("1e3", .number("1e3")),
            ("0x1F", 31),
            ("0o17", 15), ("007", "007"), ("0", 0), ("0.5", .number("0.5")), (".5", .number("0.5")),
            ("5.", .number("5.0")),
            ("-", "-"), ("--5", "--5"), ("1_000", "1_000"), ("12:30", "12:30"), ("2026-01-31", "2026-01-31"),
            (".", "."),
            (".inf", ".inf"), ("1e999", .number("1e999")), ("12345678901234567890", .number("12345678901234567890")),
            ("[1]", "[1]"), ("0x", "0x"), ("e", "e"), ("1.2.3", "1.2.3"),
        ]
    )
    func readsPlainScalars(text: String, value: JSONValue) {
        #expect(SettingsScalar(plain: text).json == value)
    }

    @Test(
        "The distance of two words counts edits and swaps",
        arguments: [("", "", 0), ("a", "", 1), ("kitten", "sitting", 3), ("abcd", "abdc", 1), ("same", "same", 0)]
    )
    func measuresDistance(left: String, right: String, distance: Int) {
        #expect(Suggestion.distance(left, right) == distance)
        #expect(Suggestion.distance(right, left) == distance)
    }

    @Test(
        "Suggestions are the words with the fewest edits, else those that begin with the word",
        arguments: [
            ("stats", ["status"]), ("stat", ["status"]), ("re", ["results", "resume"]), ("lits", ["list"]),
            ("nonsense", []), ("x", []), ("", []),
        ]
    )
    func suggestsWords(word: String, expected: [String]) {
        #expect(Suggestion.nearest(to: word, among: ["status", "list", "results", "resume"]) == expected)
    }
}
