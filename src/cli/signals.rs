//! Being told to end: what is half written goes first.

/// From here on, an interrupt, a termination or a hang-up removes temporaries and then ends the process as usual.
#[cfg(unix)]
pub(crate) fn watch() {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    use signal_hook::iterator::Signals;
    use signal_hook::low_level::emulate_default_handler;
    use std::sync::mpsc;
    use std::thread;

    // What is ignored stays so: nohup and shells' background jobs rely on it.
    let signals: Vec<i32> = [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|&signal| !is_ignored(signal)).collect();
    let (ready, installed) = mpsc::channel::<()>();
    let watching = move || {
        // Installed here, where somebody is there to answer.
        let Ok(mut signals) = Signals::new(signals) else { return };
        drop(ready);
        let Some(signal) = signals.forever().next() else { return };
        // They may be writing what is removed next.
        secateur::evaluate::end_commands();
        secateur::checkpoint::remove_temporaries();
        // As one that handles no signals: the parent sees which one it was, a shell says 128 and its number.
        let _ = emulate_default_handler(signal);
        std::process::exit(128 + signal);
    };
    // Without a thread to spare, signals do what they always do.
    if thread::Builder::new().name("signals".to_owned()).spawn(watching).is_ok() {
        // Ends once the other side is gone.
        let _ = installed.recv();
    }
}

#[cfg(unix)]
fn is_ignored(signal: i32) -> bool {
    let mut found = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: without a new action, sigaction writes the present one to `found`, which is valid for that.
    let asked = unsafe { libc::sigaction(signal, std::ptr::null(), found.as_mut_ptr()) };
    // SAFETY: zeroed, which is valid for integers and pointers, or written.
    asked == 0 && unsafe { found.assume_init() }.sa_sigaction == libc::SIG_IGN
}

/// From here on, Ctrl-C and closing the console remove temporaries and then end the process.
#[cfg(windows)]
pub(crate) fn watch() {
    // Without a handler, Ctrl-C does what it always does.
    let _ = ctrlc::set_handler(|| {
        secateur::checkpoint::remove_temporaries();
        std::process::exit(130);
    });
}

#[cfg(not(any(unix, windows)))]
pub(crate) fn watch() {}
