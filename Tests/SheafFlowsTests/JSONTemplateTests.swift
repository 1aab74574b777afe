import SheafCore
import Testing

@testable import SheafFlows

/// JSON whose strings are templates.
@Suite struct JSONTemplateTests {
    @Test(
        "Strings are rendered, and a single tag becomes the value itself",
        arguments: [
            (#""{{n}}""#, "5"), (#""{{ n }}""#, "5"), (#""{{n}} of {{list.0}}""#, #""5 of a\"b""#),
            (#"{"a": ["{{list}}", "{{record.none}}"]}"#, #"{"a":[["a\"b"],null]}"#), (#""{{sheaf.attempt}}""#, "1"),
            (#""{{#n}}yes{{/n}}""#, #""yes""#), (#"[1, true, null, "plain ${X}"]"#, #"[1,true,null,"plain ${X}"]"#),
            (#""{{parameters.p}}""#, #""v""#),
        ]
    )
    func renders(template: String, expected: String) throws {
        let task = try FlowFixtures.task(json: #"{"n": 5, "list": ["a\"b"], "none": null}"#, parameters: ["p": "v"])
        let rendered = try JSONTemplate(JSON.parse(template)).render(TemplateScope(task))
        #expect(rendered == (try JSON.parse(expected)))
    }

    @Test("A missing variable is an error")
    func missingVariable() throws {
        let task = try FlowFixtures.task(json: #"{"n": 5}"#)
        for template in ["{{nope}}", "<{{nope}}>"] {
            let error = #expect(throws: TemplateError.self) {
                try JSONTemplate(["a": .string(template)]).render(TemplateScope(task))
            }
            #expect(error?.description == "the record 'r1' has no field 'nope'; there are: n")
        }
    }

    @Test("A record cannot read environment variables")
    func noRecordReadsTheEnvironment() throws {
        let template = try ArgumentTemplate("{{x}} ${KEY}", escape: .none, variables: ["KEY": "secret"])
        let task = try FlowFixtures.task(json: ##"{"x": "${KEY} {{n}}", "*?KEY": "mine", "KEY": "mine"}"##)
        #expect(try template.render(task) == "${KEY} {{n}} secret")
        let section = try ArgumentTemplate("{{#x}}${KEY}{{/x}}", escape: .none, variables: ["KEY": "secret"])
        #expect(try section.render(FlowFixtures.task(json: ##"{"x": {"*?KEY": "mine"}}"##)) == "secret")
        let unset = try ArgumentTemplate("${NOPE}", escape: .none, variables: [:])
        let error = #expect(throws: TemplateError.self) { try unset.render(task) }
        #expect(error?.description == "the environment variable 'NOPE' of the worker is not set")
        #expect(try ArgumentTemplate("${KEY}").render(task) == "${KEY}")
    }
}
