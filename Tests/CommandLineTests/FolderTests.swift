import Foundation
import SheafTestTools
import Testing

/// The folder of the embedded broker: which commands create it, and which users can read it.
@Suite(.timeLimit(.minutes(2))) struct FolderTests {
    @Test("doctor creates no folder") func doctorMakesNoFolder() async throws {
        try await Workbench.with { bench in
            let before = try await bench.sheaf("doctor")
            #expect(before.code == 0, "\(before.talk)")
            #expect(before.output.contains("\(bench.folder)/.sheaf, which is created on first use"))
            #expect(!FileManager.default.fileExists(atPath: "\(bench.folder)/.sheaf"))
            try await bench.sheaf("create", "echo", "-", input: "a\n")
            let after = try await bench.sheaf("doctor")
            #expect(after.code == 0)
            #expect(after.output.contains("connected in"))
            #expect(after.output.contains("batches: 1,"))
            #expect(after.output.contains("MiB free at"))
        }
    }

    @Test("doctor reports a folder that cannot be created") func doctorSaysWhereNoFolderCanBeMade() async throws {
        try await Workbench.with { bench in
            let run = try await bench.sheaf("doctor", "--broker", "embedded:sheaf.yaml/folder/deep")
            #expect(run.code == 74)
            #expect(run.output.contains("sheaf.yaml/folder/deep"))
        }
    }

    @Test("Only the owner can read the folder", arguments: ["000", "022", "077"]) func onlyTheOwnerCanLook(
        umask: String
    ) async throws {
        try await Workbench.with { bench in
            // A process that waits keeps the folder open, so that all files exist.
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
