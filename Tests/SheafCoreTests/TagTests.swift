import OrderedCollections
import SheafCore
import Testing

@Suite("Tags") struct TagTests {
    @Test("Tags survive the journal, and options without tags have none") func roundTrip() throws {
        let tags = ["customer": "Müller & Söhne", "run.2026-11_a": "", "html": "<script>1</script>"]
        let options = BatchOptions(tags: tags)
        #expect(Tags.problem(of: tags) == nil)
        #expect(try BatchOptions(json: JSON.parse(options.json.text)) == options)
        #expect(BatchOptions().json["tags"] == nil)
        #expect(BatchOptions(json: ["error_policy": "stop"]).tags.isEmpty)
        #expect(
            options.tagsJSON.text == #"{"customer":"Müller & Söhne","html":"<script>1</script>","run.2026-11_a":""}"#
        )
    }

    @Test(
        "A tag outside of the rule is refused, and left out of an entry that has it",
        arguments: [
            ("", "x"), ("a b", "x"), ("ä", "x"), ("a=b", "x"), (String(repeating: "k", count: 65), "x"),
            ("a", "line\nbreak"), ("a", "bell\u{7}"), ("a", String(repeating: "v", count: 257)), ("a", "\u{2028}"),
        ]
    ) func invalid(key: String, value: String) {
        #expect(Tags.problem(of: [key: value]) != nil)
        #expect(BatchOptions(json: ["tags": .object([key: .string(value), "good": "x"])]).tags == ["good": "x"])
    }

    @Test("A batch has at most 32 tags") func count() {
        let many = Dictionary(uniqueKeysWithValues: (0..<33).map { ("k\($0)", "v") })
        #expect(Tags.problem(of: many) == "a batch has at most 32 tags, not 33")
        #expect(BatchOptions(json: BatchOptions(tags: many).json).tags.count == 32)
        #expect(Tags.problem(of: many.filter { $0.key != "k0" }) == nil)
    }

    @Test("A filter matches a key with its value, or a key alone") func filter() throws {
        let options = BatchOptions(tags: ["customer": "a=b", "urgent": ""])
        for text in ["customer=a=b", "customer", "urgent", "urgent="] {
            #expect(try #require(TagFilter(text)).matches(options), "\(text)")
        }
        for text in ["customer=a", "customers", "urgent=1"] {
            #expect(try !#require(TagFilter(text)).matches(options), "\(text)")
        }
        for text in ["", "=x", "a b", "ä=x"] { #expect(TagFilter(text) == nil, "\(text)") }
    }
}
