import SheafCore
import Testing

@testable import SheafFlows

@Suite struct ArgumentTemplateTests {
    private static let record = """
        {"text": "a <b> & \\"c\\"", "count": 12345678901234567890, "ratio": 1.50, "flag": true, "off": false,
         "none": null, "empty": "", "tags": ["x", "y"], "nothing": [], "nested": {"deep": {"er": 5}, "text": "inner"},
         "Price (EUR)": 3, "größe": "L", "lang": "de", "record": "shadow", "sheaf": "shadow", "quote": "' ; rm -rf /",
         "rows": [{"n": 1, "ok": true}, {"n": 2, "ok": false}], "braces": "{{text}}"}
        """

    @Test(
        "Tags are replaced by values of the record, the parameters and the task",
        arguments: [
            ("plain", "plain"), ("", ""), ("   ", "   "), ("  two\n ", "  two\n "),
            ("{{text}}", "a <b> & \"c\""), ("{{{text}}}", "a <b> & \"c\""), ("{{&text}}", "a <b> & \"c\""),
            ("{{ text }}!", "a <b> & \"c\"!"), ("  {{lang}} ", "  de "), ("--n={{count}}", "--n=12345678901234567890"),
            ("{{ratio}}", "1.50"), ("{{flag}}/{{off}}", "true/false"), ("[{{none}}]", "[]"), ("[{{empty}}]", "[]"),
            ("{{tags}}", #"["x","y"]"#), ("{{nested}}", #"{"deep":{"er":5},"text":"inner"}"#),
            ("{{nested.deep.er}}", "5"), ("{{tags.1}}", "y"), ("{{rows.0.n}}", "1"), ("{{Price (EUR)}}", "3"),
            ("{{größe}}", "L"), ("{{quote}}", "' ; rm -rf /"), ("{{braces}}", "{{text}}"),
            ("{{lang}}", "de"), ("{{parameters.lang}}", "en"), ("{{mode}}", "fast"),
            ("{{parameters}}", #"{"lang":"en","mode":"fast"}"#),
            ("{{sheaf.task_id}} {{sheaf.task_index}} {{sheaf.batch_id}}", "b1:7 7 b1"),
            ("{{sheaf.record_id}} {{sheaf.attempt}}", "r1 1"), ("{{record.record}}", "shadow"),
            ("{{record.lang}}", "de"),
            ("{{#flag}}yes{{/flag}}{{^flag}}no{{/flag}}", "yes"), ("{{#off}}yes{{/off}}{{^off}}no{{/off}}", "no"),
            ("{{#gone}}yes{{/gone}}{{^gone}}no{{/gone}}", "no"), ("{{#nested.gone.more}}yes{{/nested.gone.more}}", ""),
            ("{{#none}}yes{{/none}}{{^none}}no{{/none}}", "no"),
            ("{{#empty}}yes{{/empty}}{{^empty}}no{{/empty}}", "no"),
            ("{{#nothing}}yes{{/nothing}}{{^nothing}}no{{/nothing}}", "no"),
            ("{{#lang}}--lang={{lang}}{{/lang}}", "--lang=de"),
            ("{{#tags}}<{{.}}>{{/tags}}", "<x><y>"), ("{{#rows}}{{n}}{{#ok}}+{{/ok}},{{/rows}}", "1+,2,"),
            ("{{#nested}}{{text}} {{lang}} {{deep.er}}{{/nested}}", "inner de 5"), ("{{! nothing }}x", "x"),
            ("{{=<% %>=}}{{.State.Status}} <%lang%>", "{{.State.Status}} de"),
        ]
    )
    func renders(template: String, expected: String) throws {
        let task = try FlowFixtures.task(json: Self.record, parameters: ["lang": "en", "mode": "fast"])
        #expect(try ArgumentTemplate(template).render(task) == expected)
    }

    @Test("Lines and files are available as {{record}}")
    func plainRecords() throws {
        #expect(try ArgumentTemplate("<{{record}}>").render(FlowFixtures.task(text: "a line")) == "<a line>")
        #expect(try ArgumentTemplate("{{.}}").render(FlowFixtures.task(text: "a line")) == "a line")
        #expect(try ArgumentTemplate("{{record}}").render(FlowFixtures.task(bytes: [0xFF, 0xFE])) == "//4=")
        #expect(try ArgumentTemplate("{{record.0}}").render(FlowFixtures.task(json: "[5]")) == "5")
        #expect(try ArgumentTemplate("{{record}}").render(FlowFixtures.task(json: #"{"a": [1]}"#)) == #"{"a":[1]}"#)
    }

    @Test(
        "An error names the missing variable and those that exist",
        arguments: [
            ("{{txt}}", "the record 'r1' has no field 'txt'; there are: text, tags, o"),
            ("{{o.p.q}}", "the record 'r1' has no field 'o.p.q'; there are: text, tags, o"),
            ("{{tags.9}}", "the record 'r1' has no field 'tags.9'; there are: text, tags, o"),
            ("{{#o}}{{gone}}{{/o}}", "the record 'r1' has no field 'gone'; there are: text, tags, o"),
            ("{{record.gone}}", "the record 'r1' has no field 'record.gone'; there are: text, tags, o"),
            ("{{parameters.land}}", "there is no parameter 'land'; there are: lang"),
            ("{{sheaf.id}}", "there is no 'sheaf.id'; there are: batch_id, task_id, task_index, record_id, attempt"),
        ]
    )
    func missingVariable(template: String, message: String) throws {
        let task = try FlowFixtures.task(json: #"{"text": "a", "tags": [], "o": {"p": 1}}"#, parameters: ["lang": "en"])
        let template = try ArgumentTemplate(template)
        #expect(throws: TemplateError(message)) { try template.render(task) }
    }

    @Test("An error for a record without fields suggests {{record}}")
    func recordWithoutFields() throws {
        let template = try ArgumentTemplate("{{text}}")
        #expect(
            throws: TemplateError(
                "the record 'r1' is a plain value without a field 'text'; use {{record}} for all of it"
            )
        ) { try template.render(FlowFixtures.task(text: "x")) }
        #expect(
            throws: TemplateError("the record 'r1' is a list without a field 'text'; use {{record}} for all of it")
        ) { try template.render(FlowFixtures.task(json: "[1]")) }
        #expect(
            throws: TemplateError(
                "the record 'r1' is not JSON: expected a member name in quotes at byte 2"
            )
        ) { try template.render(FlowFixtures.task(json: "{nope}")) }
    }

    @Test(
        "Invalid templates are rejected",
        arguments: [
            ("{{text", "the tag '{{text' is not closed"),
            ("{{{text}}", "the tag '{{{text}}' is not closed"),
            ("{{}}", "a tag has no name"), ("{{ }}", "a tag has no name"), ("{{#}}{{/}}", "a tag has no name"),
            ("{{a..b}}", "'a..b' is not a name: a part before or after a dot is missing"),
            ("{{.a}}", "'.a' is not a name: a part before or after a dot is missing"),
            ("{{a {{b}}", "'a {{b' is not a name; is a tag not closed?"),
            ("{{#a}}x", "a section is not closed"), ("x{{/a}}", "the tag '{{/a}}' closes no section"),
            ("{{#a}}{{/b}}", "a section is closed with another name than it was opened with"),
            ("{{> other}}", "the tag '{{> other}}' is not allowed here"),
            ("{{< other}}{{/other}}", "the tag '{{< other}}' is not allowed here"),
            ("{{$ block}}", "the tag '{{$ block}}' is not allowed here"),
            ("{{% CONTENT_TYPE: HTML}}", "the tag '{{% CONTENT_TYPE: HTML}}' is not allowed here"),
            ("{{=<% }}", "the delimiters are not set as {{=<% %>=}}"),
            ("{{#a}}{{=<% %>=}}<%/a%>", "delimiters cannot be set inside a section"),
        ]
    )
    func invalidTemplate(text: String, message: String) {
        #expect(throws: TemplateError(message)) { try ArgumentTemplate(text) }
    }

    @Test(
        "Any field name can be encoded and decoded",
        arguments: ["plain", "a b", "größe", "a*b", "*", "*2", "*ZZ", "", "日本", "a.b", "\u{1}\"'"]
    )
    func encodedNames(name: String) {
        let encoded = FieldName.encode(name)
        #expect(FieldName.decode(encoded) == name)
        #expect(
            encoded.utf8.allSatisfy {
                Set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-*".utf8).contains($0)
            }
        )
    }
}
