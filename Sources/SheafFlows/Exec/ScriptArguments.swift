/// Finds templates inside script text, where a record could add commands of its own.
enum ScriptArguments {
    private static let shells: Set<String> = ["sh", "bash", "dash", "zsh", "ksh", "ash", "fish"]
    private static let interpreters: Set<String> = ["python", "python3", "perl", "ruby", "node", "php", "lua"]

    static func warnings(program: String, arguments: [ArgumentTemplate]) -> [FlowConfigurationProblem] {
        let name = program.split(separator: "/").last.map(String.init) ?? program
        guard shells.contains(name) || interpreters.contains(name) else { return [] }
        // The text behind the first option such as -c, -ec or -e is the script; what follows are its arguments.
        guard
            let option = arguments.firstIndex(where: { isScriptOption($0.text) }),
            arguments.indices.contains(option + 1), arguments[option + 1].isTemplated
        else { return [] }
        let advice =
            shells.contains(name)
            ? #"; pass the value behind the script and use "$1": ["-c", "… \"$1\"", "\#(name)", "{{field}}"]"#
            : "; pass the value as an argument behind the script"
        return [
            FlowConfigurationProblem(
                .argument(option + 2),
                "a template inside a script lets whoever writes records run commands\(advice)"
            )
        ]
    }

    private static func isScriptOption(_ text: String) -> Bool {
        text.hasPrefix("-") && !text.hasPrefix("--") && (text.hasSuffix("c") || text.hasSuffix("e") || text == "-r")
    }
}
