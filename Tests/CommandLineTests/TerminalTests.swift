import SheafCore
import SheafTestTools
import Testing

/// A worker at a terminal whose questions are answered there.
@Suite(.timeLimit(.minutes(3))) struct TerminalTests {
    private static let child = """
        import json, sys
        for line in sys.stdin:
            task = json.loads(line)
            ask = {"question": "Which colour?", "choices": ["red", "green"], "default": "red"}
            print(json.dumps({"ask": ask}), flush=True)
            print(json.dumps({"output": json.loads(sys.stdin.readline())["answer"]}), flush=True)
        """

    /// Runs a command at a terminal of its own; at each prompt, reads for a while and then types the next answer.
    private static let person = """
        import os, pty, select, sys, time
        answers = sys.argv[1].split(",")
        child, terminal = pty.fork()
        if child == 0:
            os.execv(sys.argv[2], sys.argv[2:])
        shown = b""
        def hear(seconds):
            global shown
            if not select.select([terminal], [], [], seconds)[0]:
                return False
            try:
                heard = os.read(terminal, 4096)
            except OSError:
                heard = b""
            shown += heard
            return bool(heard)
        asked = 0
        while hear(60):
            if shown.endswith(b"answer: ") and answers:
                listened = time.monotonic() + 0.5
                while time.monotonic() < listened:
                    hear(listened - time.monotonic())
                print("asked" if shown.endswith(b"answer: ") else "disturbed")
                os.write(terminal, (answers.pop(0) + "\\n").encode())
        sys.stdout.write(shown.decode().replace("\\r", ""))
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        """

    @Test("Questions are answered at the terminal and nothing is drawn over the answer") func questionsAtTheTerminal()
        async throws
    {
        try await Workbench.with(configuration: #"flows: { ask: { process: [python3, child.py] } }"#) { bench in
            try bench.write(Self.child, to: "child.py")
            try bench.write(Self.person, to: "person.py")
            try bench.write("1\n2\n3\n", to: "in.jsonl")
            #expect(try await bench.sheaf("create", "ask", "in.jsonl", "--interactive", "--no-shuffle").code == 0)
            let run = try await bench.shell(#"python3 person.py blue,green,,red "$SHEAF" run -c 1 --until-empty"#)
            #expect(run.code == 0, "\(run.output)\(run.talk)")
            #expect(run.lines.filter { $0 == "asked" }.count == 4)
            #expect(!run.output.contains("disturbed"))
            #expect(run.output.contains("asks: Which colour? (red, green) [red]"))
            #expect(run.output.contains("choose one of: red, green"))
            let rows = try await bench.sheaf("results", "last", "--ordered").lines.map { try JSON.parse($0) }
            #expect(rows.map { $0["output"] } == ["green", "red", "red"])
        }
    }
}
