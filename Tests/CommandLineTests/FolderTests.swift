import Foundation
import SheafTesting
import Testing

/// The folder of the embedded broker: who makes it, and who can look into it.
@Suite(.timeLimit(.minutes(2))) struct FolderTests {
    @Test func doctorMakesNoFolder() async throws {
        try await Workbench.with { bench in
            let before = try await bench.sheaf("doctor")
            #expect(before.code == 0, "\(before.talk)")
            #expect(before.output.contains("\(bench.folder)/.sheaf, which is made when it is first used"))
            #expect(!FileManager.default.fileExists(atPath: "\(bench.folder)/.sheaf"))
            try await bench.sheaf("create", "echo", "-", input: "a\n")
            let after = try await bench.sheaf("doctor")
            #expect(after.code == 0)
            #expect(after.output.contains("connected in"))
            #expect(after.output.contains("batches: 1,"))
            #expect(after.output.contains("MiB free at"))
        }
    }

    @Test func doctorSaysWhereNoFolderCanBeMade() async throws {
        try await Workbench.with { bench in
            let run = try await bench.sheaf("doctor", "--broker", "embedded:sheaf.yaml/folder/deep")
            #expect(run.code == 74)
            #expect(run.output.contains("sheaf.yaml/folder/deep"))
        }
    }

    @Test(arguments: ["000", "022", "077"]) func onlyTheOwnerCanLook(umask: String) async throws {
        try await Workbench.with { bench in
            // One that waits for input has the folder open, so that all its files are there.
            let run = try await bench.shell(
                """
                umask \(umask); echo a | $SHEAF create echo - -q > id; $SHEAF wait "$(cat id)" & waiting=$!
                until [ -e .sheaf/sheaf.sqlite-shm ]; do sleep 0.01; done
                find .sheaf -printf '%y %m %f\\n'; kill $waiting; wait
                """
            )
            let modes = run.lines.map { $0.split(separator: " ") }.filter { $0.count == 3 }
            #expect(modes.contains { $0.last == "sheaf.sqlite-shm" })
            for mode in modes {
                #expect(mode[1] == (mode[0] == "d" ? "700" : "600"), "\(mode.joined(separator: " "))")
            }
        }
    }
}
