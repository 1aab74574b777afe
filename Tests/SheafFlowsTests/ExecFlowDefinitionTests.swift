import SheafCore
import Testing

@testable import SheafFlows

@Suite struct ExecFlowDefinitionTests {
    @Test(arguments: [
        ([], "exec: it is empty; the first item is the program"),
        ([""], "exec[0]: the program has no name"),
        (
            ["{{program}}", "x"],
            "exec[0]: the program cannot be a template: what is run is for the worker's owner to say, not for a record"
        ),
        (
            ["bin/{{parameters.tool}}"],
            "exec[0]: the program cannot be a template: what is run is for the worker's owner to say, not for a record"
        ),
        (["cat", "{{x"], "exec[1]: the tag '{{x' is not closed"),
        (["cat", "ok", "a\0b"], "exec[2]: it contains a NUL"),
    ])
    func refusesCommands(command: [String], message: String) throws {
        let problem = try #require(throws: FlowConfigurationProblem.self) { try ExecFlow(command) }
        #expect(problem.description == message)
    }

    @Test(arguments: ["", "A=B", "1A", "A\0"])
    func refusesNamesOfVariables(name: String) throws {
        let problem = try #require(throws: FlowConfigurationProblem.self) {
            try ExecFlow(["true"], environment: [name: "x"])
        }
        #expect(problem == FlowConfigurationProblem(.environment(name), "that is no name for a variable"))
        #expect(throws: FlowConfigurationProblem(.environment("A"), "it contains a NUL")) {
            try ExecFlow(["true"], environment: ["A": "\0"])
        }
    }

    @Test(arguments: [
        (["sh", "-c", "echo {{text}}"], true), (["/bin/bash", "-ec", "echo {{text}}"], true),
        (["sh", "-e", "-c", "echo {{text}}"], false), (["python3", "-c", "print({{text}})"], true),
        (["perl", "-e", "print {{text}}"], true), (["sh", "-c", "echo \"$1\"", "sh", "{{text}}"], false),
        (["sh", "script.sh", "{{text}}"], false), (["grep", "-c", "{{text}}"], false), (["echo", "{{text}}"], false),
    ])
    func warnsOfScriptsWithTemplates(command: [String], isDoubtful: Bool) throws {
        #expect(try ExecFlow(command).warnings.isEmpty == !isDoubtful)
    }

    @Test func saysHowToAvoidATemplateInAScript() throws {
        let warning = try #require(try ExecFlow(["sh", "-c", "echo {{text}}"]).warnings.first)
        #expect(
            warning.description == """
                exec[2]: a template inside a script lets whoever writes records run commands; \
                pass the value behind the script and use "$1": ["-c", "… \\"$1\\"", "sh", "{{field}}"]
                """
        )
    }
}
