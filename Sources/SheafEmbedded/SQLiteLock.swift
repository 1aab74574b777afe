import SheafBroker

/// A name held through a locked file.
actor SQLiteLock: BrokerLock {
    nonisolated let name: String
    private var file: FileLock?

    init(name: String, file: FileLock) {
        self.name = name
        self.file = file
    }

    var isHeld: Bool { file != nil }

    func release() {
        file?.removeFile()
        file = nil
    }
}
