import Glibc

/// A value protected by a pthread mutex.
///
/// It is used instead of `Synchronization.Mutex`, for which the thread sanitizer reports false races on Linux. This is
/// the only unchecked `Sendable` of the module: the value is accessed only through `withLock`, and the mutex, which
/// must not move, is on the heap.
final class Locked<Value: Sendable>: @unchecked Sendable {
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private var value: Value

    init(_ value: Value) {
        self.value = value
        self.mutex = .allocate(capacity: 1)
        mutex.initialize(to: pthread_mutex_t())
        pthread_mutex_init(mutex, nil)
    }

    deinit {
        pthread_mutex_destroy(mutex)
        mutex.deallocate()
    }

    func withLock<Result>(_ body: (inout Value) -> Result) -> Result {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return body(&value)
    }
}
