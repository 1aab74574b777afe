/// A value behind a reference: for what is large, handed on from part to part, and hardly ever changed.
///
/// Copying it counts one reference instead of all those within.
@propertyWrapper
package struct Boxed<Value: Sendable>: Sendable {
    private final class Box: Sendable {
        let value: Value
        init(_ value: Value) { self.value = value }
    }

    private var box: Box

    package init(wrappedValue: Value) { box = Box(wrappedValue) }

    package var wrappedValue: Value {
        get { box.value }
        set { box = Box(newValue) }
    }

    /// The reference itself.
    package var projectedValue: Boxed<Value> { self }
}

/// As ``Boxed``, for a value that is mostly not there.
@propertyWrapper
package struct BoxedIfAny<Value: Sendable>: Sendable {
    private var box: Boxed<Value>?

    package init(wrappedValue: Value?) { box = wrappedValue.map { Boxed(wrappedValue: $0) } }

    package var wrappedValue: Value? {
        get { box?.wrappedValue }
        set { box = newValue.map { Boxed(wrappedValue: $0) } }
    }

    /// The reference itself.
    package var projectedValue: Boxed<Value>? {
        get { box }
        set { box = newValue }
    }
}
