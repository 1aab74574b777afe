import SheafCore
import Testing

@testable import SheafFlows

@Suite struct ExecFlowDefinitionTests {
    @Test(
        "Invalid commands are rejected",
        arguments: [
            ([], "exec: it is empty; the first item is the program"),
            ([""], "exec[0]: the program has no name"),
            (
                ["{{program}}", "x"],
                "exec[0]: the program cannot be a template: the worker's owner decides what is run, not a record"
            ),
            (
                ["bin/{{parameters.tool}}"],
                "exec[0]: the program cannot be a template: the worker's owner decides what is run, not a record"
            ),
            (["cat", "{{x"], "exec[1]: the tag '{{x' is not closed"),
            (["cat", "ok", "a\0b"], "exec[2]: it contains a NUL"),
        ]
    )
    func invalidCommands(command: [String], message: String) throws {
        let problem = try #require(throws: FlowConfigurationProblem.self) { try ExecFlow(command) }
        #expect(problem.description == message)
    }

    @Test("Invalid environment variables are rejected", arguments: ["", "A=B", "1A", "A\0"])
    func invalidVariables(name: String) throws {
        let problem = try #require(throws: FlowConfigurationProblem.self) {
            try ExecFlow(["true"], environment: [name: "x"])
        }
        #expect(problem == FlowConfigurationProblem(.environment(name), "that is not a valid name of a variable"))
        #expect(throws: FlowConfigurationProblem(.environment("A"), "it contains a NUL")) {
            try ExecFlow(["true"], environment: ["A": "\0"])
        }
    }

    @Test(
        "A template inside a script gives a warning",
        arguments: [
            (["sh", "-c", "echo {{text}}"], true), (["/bin/bash", "-ec", "echo {{text}}"], true),
            (["sh", "-e", "-c", "echo {{text}}"], false), (["python3", "-c", "print({{text}})"], true),
            (["perl", "-e", "print {{text}}"], true), (["sh", "-c", "echo \"$1\"", "sh", "{{text}}"], false),
            (["sh", "script.sh", "{{text}}"], false), (["grep", "-c", "{{text}}"], false),
            (["echo", "{{text}}"], false),
        ]
    )
    func templateInScript(command: [String], isDoubtful: Bool) throws {
        #expect(try ExecFlow(command).warnings.isEmpty == !isDoubtful)
    }

    @Test("The warning about a template in a script shows the alternative")
    func templateInScriptAdvice() throws {
        let warning = try #require(try ExecFlow(["sh", "-c", "echo {{text}}"]).warnings.first)
        #expect(
            warning.description == """
                exec[2]: a template inside a script lets a record run commands; \
                pass the value after the script and use "$1": ["-c", "… \\"$1\\"", "sh", "{{field}}"]
                """
        )
    }
}
